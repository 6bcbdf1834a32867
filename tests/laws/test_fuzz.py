"""Random ragged batches: what the padding holds, and whose gradient is whose.

A few cases for a few layers; ``pytest --thorough`` runs a thousand and five hundred over all.
"""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import (
    LAYERS,
    B,
    I,
    T,
    assert_close,
    assert_same,
    floats,
    layer_example,
    over_features,
)

KEY = jax.random.key(7)
POISON = (np.nan, np.inf, -np.inf, np.finfo(np.float32).max, -1e-40)


def random_mask(rng):
    """Right, left and both-sided padding, holes, and rows without a real step."""
    kind = rng.integers(5)
    steps, lengths = np.arange(T)[:, None], rng.integers(0, T + 1, B)
    if kind == 0:
        return steps < lengths
    if kind == 1:
        return steps >= T - lengths
    if kind == 2:
        start = rng.integers(0, T + 1 - lengths)
        return (steps >= start) & (steps < start + lengths)
    return rng.random((T, B)) < rng.choice([0, 0.2, 0.5, 0.9, 1], B)


def test_poisoned_padding_changes_no_bit(any_layer, thorough):
    case = LAYERS[any_layer]
    ex = layer_example(case, dtype=jnp.float32)
    rng = np.random.default_rng(0)

    @jax.jit
    @functools.partial(jax.value_and_grad, argnums=(0, 1, 2), has_aux=True, allow_int=True)
    def run(params, carry, xs, mask, resets):
        out = case.layer.apply(params, carry, xs, mask=mask, resets=resets, key=KEY)
        return sum(jnp.sin(leaf).sum() for leaf in floats(out)), out

    for _ in range(math.ceil(1000 / len(LAYERS)) if thorough else 20):
        mask, resets = random_mask(rng), rng.random((T, B)) < rng.choice([0, 0.3])
        if case.vocabulary:
            xs, poison = rng.integers(0, case.vocabulary, (T, B)), -(2**31)
            blank = mask
        else:
            shape = T, B, *case.features
            xs, poison = rng.normal(size=shape), rng.choice(POISON, shape)
            blank = over_features(mask, xs)
        xs = xs.astype(ex.xs.dtype)
        clean = run(ex.params, ex.carry, np.where(blank, xs, np.zeros_like(xs)), mask, resets)
        dirty = run(ex.params, ex.carry, np.where(blank, xs, poison).astype(xs.dtype), mask, resets)
        assert_same(dirty, clean)
        (_, out), grads = dirty
        assert all(np.isfinite(leaf).all() for leaf in floats((out, grads)))
        if case.vocabulary is None:
            assert not np.asarray(grads[2])[~mask].any()


@pytest.mark.thorough
def test_the_gradient_of_a_padded_batch_is_the_sum_over_its_rows(any_layer):
    case = LAYERS[any_layer]
    ex = layer_example(case)
    rng = np.random.default_rng(1)

    def loss(params, xs, mask, resets):
        carry, ys = case.layer.apply(params, None, xs, mask=mask, resets=resets)
        steps = 0 if case.pools else over_features(np.arange(len(ys)), ys)
        weights = jnp.cos(jnp.asarray(steps + 0.7 * np.arange(ys.shape[-1])))
        return (weights * jnp.sin(ys)).sum() + sum(jnp.sin(x).sum() for x in floats(carry))

    grad = jax.jit(jax.grad(loss))
    for _ in range(math.ceil(500 / len(LAYERS))):
        lengths = rng.integers(0, T + 1, B)
        mask = np.arange(T)[:, None] < lengths
        resets = rng.random((T, B)) < 0.2
        xs = rng.integers(0, case.vocabulary or 2, (T, B))
        xs = xs if case.vocabulary else rng.normal(size=(T, B, *case.features))
        xs = xs.astype(ex.xs.dtype)
        whole = grad(ex.params, xs, mask, resets)
        rows = [
            grad(ex.params, xs[:n, row : row + 1], None, resets[:n, row : row + 1])
            for row, n in enumerate(lengths)
        ]
        assert_close(whole, jax.tree.map(lambda *leaves: sum(leaves), *rows), 1e-10)


@pytest.mark.parametrize(
    "cell", [jaxrnn.lstm(4), jaxrnn.gru(4, reset_after=False)], ids=["xla", "scan"]
)
def test_a_long_stream_is_one_scan(cell, thorough):
    num_steps = 1_000_000 if thorough else 5_000
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(params, carry, x):
        return jaxrnn.step(cell, params, carry, x)

    xs = np.random.default_rng(2).normal(size=(num_steps, 1, I)).astype(np.float32)
    params = cell.init(KEY, xs[0])
    carry = cell.init_carry(params, xs[0])
    want, want_ys = jax.jit(functools.partial(jaxrnn.unroll, cell))(params, carry, xs)
    ys = np.empty((num_steps, 1, 4), np.float32)
    for t in range(2):
        carry, ys[t] = step(params, carry, xs[t])
    before = None
    for t in range(2, num_steps):
        carry, ys[t] = step(params, carry, xs[t])
        if t == num_steps // 10:
            before = resident()
    grown = resident() - before
    assert grown < 20 * 2**20
    np.testing.assert_allclose(ys, want_ys, rtol=0, atol=5e-6)
    assert_close(carry, want, 5e-6)


def resident():
    """Bytes of memory that this process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
