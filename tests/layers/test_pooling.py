"""Pooling over time: padding has no part in it, wherever it is and whatever it holds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import jaxrnn
from tests.laws.tables import B, H, T, assert_close, assert_same, noisy, total
from tests.marks import later

KEY = jax.random.key(5)
ATTENTION = jaxrnn.attention_pool(6)
SHAPE = jax.ShapeDtypeStruct((T, B, H), jnp.float64)
PARAMS = noisy(ATTENTION.init(KEY, SHAPE), KEY)


def attend(rows):
    scores = np.tanh(rows @ PARAMS.kernel + PARAMS.bias) @ PARAMS.query
    weights = np.exp(scores - scores.max())
    return weights @ rows / weights.sum()


POOLS = {
    "last": (jaxrnn.pool_last, lambda rows: rows[-1]),
    "sum": (jaxrnn.pool_sum, lambda rows: rows.sum(axis=0)),
    "mean": (jaxrnn.pool_mean, lambda rows: rows.mean(axis=0)),
    "max": (jaxrnn.pool_max, lambda rows: rows.max(axis=0)),
    "attention": (functools.partial(ATTENTION.apply, PARAMS), attend),
}
every_pool = pytest.mark.parametrize("name", POOLS)


def example(shape=(T, B, H)):
    return jax.random.normal(KEY, shape, jnp.float64) - 2.0


MASKS = {
    "right": jaxrnn.length_mask(jnp.array([T, 0, 4]), T),
    "left": jaxrnn.length_mask(jnp.array([T, 0, 4]), T)[::-1],
    "holes": jax.random.bernoulli(KEY, 0.5, (T, B)).at[:, 1].set(False),
}


@every_pool
@pytest.mark.parametrize("side", MASKS)
def test_the_real_steps_alone(name, side):
    pool, oracle = POOLS[name]
    xs, mask = example(), np.asarray(MASKS[side])
    got = jax.jit(pool)(xs, mask)
    for row in range(B):
        real = np.asarray(xs[mask[:, row], row])
        want = oracle(real) if len(real) else np.zeros(H)
        np.testing.assert_allclose(got[row], want, rtol=1e-12, atol=1e-13)


@every_pool
def test_without_a_mask_every_step_is_real(name):
    pool, oracle = POOLS[name]
    xs = example()
    got = pool(xs)
    np.testing.assert_allclose(got[0], oracle(np.asarray(xs[:, 0])), rtol=1e-12)
    assert_same(got, pool(xs, jnp.ones((T, B), bool)))
    assert_close(got, pool(xs, jnp.ones(T, bool)), 1e-14)


@every_pool
@pytest.mark.parametrize("side", MASKS)
def test_padding_is_never_read(name, side):
    pool, _ = POOLS[name]
    mask = MASKS[side]

    def loss(xs):
        pooled = pool(xs, mask)
        return total(pooled), pooled

    run = jax.jit(jax.value_and_grad(loss, has_aux=True))
    clean = run(jnp.where(mask[..., None], example(), 0))
    for poison in (jnp.nan, jnp.inf, -jnp.inf, 1e300):
        assert_same(run(jnp.where(mask[..., None], example(), poison)), clean)
    grad = np.asarray(clean[1])
    assert np.isfinite(grad).all()
    assert (grad[~np.asarray(mask)] == 0).all()


@every_pool
@pytest.mark.thorough
def test_finite_differences(name):
    pool, _ = POOLS[name]
    check_grads(lambda xs: pool(xs, MASKS["holes"]), (example(),), order=2, modes=("fwd", "rev"))


@pytest.mark.thorough
def test_gradients_of_attention():
    def pooled(params):
        return ATTENTION.apply(params, example(), MASKS["holes"])

    check_grads(jax.jit(pooled), (PARAMS,), order=2, modes=("fwd", "rev"))


@every_pool
@pytest.mark.parametrize(
    "shape",
    [
        (0, B, H),
        later((T, 0, H)),
        later((1, B, H)),
        later((0, H)),
        (1, H),
        (T, 2, 3, H),
    ],
)
def test_shapes(name, shape):
    pool, _ = POOLS[name]
    xs = example(shape)
    for mask in (None, jnp.zeros(shape[:-1], bool), jnp.ones(shape[:-1], bool)):

        def loss(xs, mask=mask):
            pooled = pool(xs, mask)
            return total(pooled), pooled

        (value, pooled), grad = jax.jit(jax.value_and_grad(loss, has_aux=True))(xs)
        assert pooled.shape == shape[1:]
        assert np.isfinite(value)
        assert np.isfinite(grad).all()
        if shape[0] == 0 or (mask is not None and not mask.any()):
            assert not pooled.any()


@every_pool
def test_vmap_is_a_stack_of_single_runs(name):
    pool, _ = POOLS[name]
    xs, mask = example(), MASKS["holes"]
    assert_close(jax.vmap(pool, in_axes=1)(xs, mask), pool(xs, mask), 1e-13)


@every_pool
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_dtype_in_is_dtype_out(name, dtype):
    xs = example((3000, B, H)).astype(dtype)
    wide = xs.astype(jnp.float64)
    pool, exact = POOLS[name][0], POOLS[name][0](wide)
    if name == "attention":
        pool = functools.partial(ATTENTION.apply, jax.tree.map(lambda p: p.astype(dtype), PARAMS))
    pooled = pool(xs)
    assert pooled.dtype == dtype
    tolerance = (8 if name == "attention" else 1) * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(pooled.astype(jnp.float64), exact, rtol=tolerance)


def test_equal_largest_values_share_the_gradient():
    grad = jax.grad(lambda xs: jaxrnn.pool_max(xs).sum())(jnp.array([[3.0], [1.0], [3.0]]))
    np.testing.assert_array_equal(grad, [[0.5], [0.0], [0.5]])


@pytest.mark.parametrize("scale", [1e4, 1e300])
def test_attention_with_large_scores(scale):
    params = PARAMS._replace(query=scale * PARAMS.query)
    mask = MASKS["holes"]
    pooled, pull = jax.vjp(lambda xs: ATTENTION.apply(params, xs, mask), example())
    assert np.isfinite(pooled).all()
    assert not pooled[1].any()
    (grad,) = pull(jnp.ones_like(pooled))
    assert (np.asarray(grad)[~np.asarray(mask)] == 0).all()


@pytest.mark.parametrize("name", ["last", "sum", "mean", "max"])
def test_no_rank_is_promoted(name):
    """Programs may have JAX refuse it: `jax_numpy_rank_promotion`."""
    with jax.numpy_rank_promotion("raise"):
        for mask in (None, MASKS["holes"], MASKS["holes"][:, 0]):
            assert np.isfinite(POOLS[name][0](example(), mask)).all()
