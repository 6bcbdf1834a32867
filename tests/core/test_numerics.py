"""tanh and softplus: the values of JAX, with derivatives that keep or compute less."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn._core.numerics import softplus

XS = np.concatenate([np.linspace(-15, 15, 301), [0.0, -0.0, np.inf, -np.inf, np.nan]])


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_the_values_are_those_of_jax(dtype):
    xs = jnp.asarray(XS, dtype)
    ours, theirs = jaxrnn.authoring.tanh(xs), jnp.tanh(xs)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours.astype(jnp.float64), theirs.astype(jnp.float64))


def derivatives(f, xs):
    first = jax.vmap(jax.grad(f))
    return first(xs), jax.jvp(first, (xs,), (jnp.ones_like(xs),))[1]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-7), ("float64", 4e-16)])
def test_the_derivatives_are_those_of_jax(dtype, tolerance):
    xs = jnp.asarray(XS, dtype)
    for ours, theirs in zip(
        *(derivatives(f, xs) for f in (jaxrnn.authoring.tanh, jnp.tanh)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2 * tolerance)


def test_a_small_derivative_keeps_its_digits():
    x = jnp.float32(-7)
    y = float(jnp.tanh(x))
    np.testing.assert_allclose(jax.grad(jaxrnn.authoring.tanh)(x), (1 + y) * (1 - y), rtol=1e-6)


def test_the_derivative_keeps_one_array():
    def kept(f):
        return len(jax.tree.leaves(jax.linearize(f, jnp.asarray(XS))[1]))

    assert kept(jaxrnn.authoring.tanh) == 1 < kept(jnp.tanh)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-7), ("float64", 1e-15)])
def test_softplus_is_that_of_jax_with_its_derivatives(dtype, tolerance):
    xs = jnp.asarray(XS, dtype)
    np.testing.assert_allclose(softplus(xs), jax.nn.softplus(xs), rtol=tolerance)
    finite = xs[jnp.isfinite(xs)]
    exact = derivatives(jax.nn.softplus, finite.astype(jnp.float64))
    for ours, theirs in zip(derivatives(softplus, finite), exact, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)
