"""Unbiased online recurrent optimization is right on average."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import online
from tests.laws.tables import assert_same
from tests.online.learning import T, backward, chunk, stream

CELL = jaxrnn.learned_carry(jaxrnn.elman(2))


def gradients(keys):
    """The gradient of one run for each key, and the exact one."""
    learner, run = chunk(online.uoro, CELL)
    params, steps = stream(CELL)

    def one(key):
        state = learner.init(params, steps.xs[0], key=key)
        return run(params, state, steps)[2]

    return jax.jit(jax.vmap(one))(keys), backward(CELL, params, steps)[1]


def test_the_mean_over_keys_is_the_gradient(thorough):
    """With a batch, padding, resets and a learned initial carry."""
    count = 10_000 if thorough else 1_000
    drawn, expected = gradients(jax.random.split(jax.random.key(0), count))
    for samples, exact in zip(jax.tree.leaves(drawn), jax.tree.leaves(expected), strict=True):
        error = np.abs(samples.mean(0) - exact)
        assert (samples.std(0) > 0).all()
        assert (error <= 3 * samples.std(0) / np.sqrt(count)).all()


@pytest.mark.thorough
def test_draws_do_not_depend_on_padding():
    """A masked step draws nothing."""
    learner, run = chunk(online.uoro, CELL)
    params, steps = stream(CELL)
    xs = jnp.nan_to_num(steps.xs)
    state = learner.init(params, xs[0], key=jax.random.key(5))

    def run_padded(at):
        """With a step of padding at a place, in place of the last step."""

        def insert(leaf, value):
            return jnp.concatenate([leaf[:at], jnp.full_like(leaf[:1], value), leaf[at:-1]])

        ones = insert(jnp.ones_like(steps.mask), False)
        resets = insert(jnp.zeros_like(steps.resets), True)
        padded = type(steps)(insert(xs, jnp.nan), ones, resets, insert(steps.weights, 1))
        return run(params, state, padded)[0]

    assert_same(run_padded(2), run_padded(T - 1))
