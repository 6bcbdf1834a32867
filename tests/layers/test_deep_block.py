"""Normalization, gates and the block made of them, against their equations in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import noisy

T, B, I, F = 7, 3, 5, 6
KEY = jax.random.key(0)
XS = jax.random.normal(KEY, (T, B, I)) * 3 + 1


def example(layer, xs=XS):
    return noisy(layer.init(KEY, xs), KEY)


def normalized(x, epsilon=1e-5):
    centered = x - x.mean(-1, keepdims=True)
    return centered / np.sqrt((centered**2).mean(-1, keepdims=True) + epsilon)


def test_layer_norm():
    layer = jaxrnn.layer_norm(epsilon=0.1)
    params = example(layer)
    _, ys = layer.apply(params, None, XS)
    expected = np.asarray(params.gain) * normalized(np.asarray(XS), 0.1) + np.asarray(params.bias)
    np.testing.assert_allclose(ys, expected, rtol=1e-12)


def test_norms_without_a_bias():
    plain = jaxrnn.layer_norm(use_bias=False)
    params = plain.init(KEY, XS)
    assert params.bias is None
    np.testing.assert_allclose(plain.apply(params, None, XS)[1], normalized(np.asarray(XS)))
    layer = jaxrnn.rms_norm()
    params = example(layer)
    x = np.asarray(XS)
    expected = np.asarray(params.gain) * x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(layer.apply(params, None, XS)[1], expected, rtol=1e-12)


@pytest.mark.parametrize("layer", [jaxrnn.layer_norm(), jaxrnn.rms_norm()], ids=repr)
def test_norms_sum_narrow_dtypes_in_float32(layer):
    """In bfloat16, 512 equal squares would add up to 256."""
    xs = jnp.where(jnp.arange(512) % 2 == 0, 3, -3).astype(jnp.bfloat16).reshape(1, 512)
    _, ys = layer.apply(layer.init(KEY, xs), None, xs)
    np.testing.assert_array_equal(ys, jnp.sign(xs))


@pytest.mark.parametrize("activation", [None, jnp.tanh])
def test_glu(activation):
    layer = jaxrnn.glu(F, activation=activation)
    params = example(layer)
    z = np.asarray(XS) if activation is None else np.tanh(np.asarray(XS))
    values, gates = np.split(z @ np.asarray(params.kernel) + np.asarray(params.bias), 2, axis=-1)
    expected = values / (1 + np.exp(-gates))
    np.testing.assert_allclose(layer.apply(params, None, XS)[1], expected, rtol=1e-12)
    assert jaxrnn.glu(F, use_bias=False).init(KEY, XS).bias is None


def test_an_activation_that_is_not_zero_at_zero_leaves_padding_zero():
    layer = jaxrnn.glu(F, activation=jax.nn.softplus)
    mask = jnp.arange(T)[:, None] < jnp.array([7, 0, 4])
    _, ys = layer.apply(example(layer), None, XS, mask=mask)
    assert not np.asarray(ys)[~np.asarray(mask)].any()


def test_a_block_is_its_parts_one_after_another():
    inner = jaxrnn.rnn(jaxrnn.lru(4), implementation="associative")
    block = jaxrnn.deep_block(inner, I, rate=0.5)
    params = example(block)
    norm, own, gate, _ = params
    _, zs = jaxrnn.layer_norm().apply(norm, None, XS)
    _, zs = inner.apply(own, None, zs)
    _, zs = jaxrnn.glu(I).apply(gate, None, jax.nn.gelu(zs))
    _, ys = block.apply(params, None, XS)
    np.testing.assert_allclose(ys, XS + zs, rtol=1e-12)
    _, ys = block.apply(params, None, XS, key=KEY)
    dropped = np.isclose(ys, XS)
    np.testing.assert_allclose(ys, jnp.where(dropped, XS, XS + 2 * zs), rtol=1e-12)
    assert 0.3 < dropped.mean() < 0.7
