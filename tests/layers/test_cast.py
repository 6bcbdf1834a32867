"""`cast`: parameters in float32, products in bfloat16 or float16."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import B, H, I, T, assert_close, assert_same

MODEL = jaxrnn.stack(
    jaxrnn.rnn(jaxrnn.learned_carry(jaxrnn.lstm(H))),
    jaxrnn.dropout(0.3),
    jaxrnn.rnn(jaxrnn.zoneout(jaxrnn.gru(H), 0.1)),
    jaxrnn.dense(3),
)
XS = jnp.cos(jnp.arange(T * B * I, dtype=jnp.float32)).reshape(T, B, I)


def dtypes(tree):
    return {str(leaf.dtype) for leaf in jax.tree.leaves(tree)}


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_it_computes_in_the_narrow_dtype(dtype):
    layer = jaxrnn.cast(MODEL, dtype)
    params = layer.init(jax.random.key(0), XS)
    assert dtypes(params) == {"float32"}
    carry, ys = layer.apply(params, None, XS)
    narrow = jax.tree.map(lambda x: x.astype(dtype), (params, XS))
    _, expected = MODEL.apply(narrow[0], None, narrow[1])
    assert_same(ys, expected.astype(jnp.float32))
    assert_close(ys, MODEL.apply(params, None, XS)[1], 0.03)
    assert dtypes(carry) == {"float32", "int32"}


def test_its_products_are_narrow_and_summed_in_float32():
    layer = jaxrnn.cast(jaxrnn.dense(3), jnp.bfloat16)
    xs = XS[:, 0]
    params = layer.init(jax.random.key(0), xs)
    program = jax.make_jaxpr(lambda params: layer.apply(params, None, xs))(params)
    (product,) = [e for e in program.eqns if e.primitive.name == "dot_general"]
    assert [str(x.aval.dtype) for x in product.invars] == ["bfloat16", "bfloat16"]
    assert str(product.outvars[0].aval.dtype) == "float32"


@pytest.mark.thorough
def test_gradients_are_float32():
    layer = jaxrnn.cast(MODEL, jnp.bfloat16)
    params = layer.init(jax.random.key(0), XS)

    def loss(params, layer):
        return jnp.mean(layer.apply(params, None, XS)[1] ** 2)

    grads = jax.grad(loss)(params, layer)
    assert dtypes(grads) == {"float32"}
    assert_close(grads, jax.grad(loss)(params, MODEL), 0.03)


@pytest.mark.parametrize("key", [None, jax.random.key(5)])
def test_chunks_equal_the_whole(key):
    """The carry loses nothing on its way through float32."""
    layer = jaxrnn.cast(MODEL, jnp.bfloat16)
    params = layer.init(jax.random.key(0), XS)
    _, whole = layer.apply(params, None, XS, key=key)
    carry, first = layer.apply(params, None, XS[:3], key=key)
    _, second = layer.apply(params, carry, XS[3:], key=key)
    assert_close(jnp.concatenate([first, second]), whole, 0.01)


def test_a_whole_model_with_symbols_and_a_pool():
    model = jaxrnn.cast(
        jaxrnn.stack(
            jaxrnn.embed(9, 4),
            jaxrnn.bidirectional(jaxrnn.gru(H)),
            jaxrnn.pool_mean,
            jaxrnn.dense(2),
        ),
        jnp.bfloat16,
    )
    symbols = jnp.arange(T * B).reshape(T, B) % 9
    params = model.init(jax.random.key(0), symbols)
    _, ys = model.apply(params, None, symbols)
    assert ys.shape == (B, 2)
    assert ys.dtype == jnp.float32
    assert repr(model).endswith("dense(2)), bfloat16)")
    assert np.isfinite(ys).all()
