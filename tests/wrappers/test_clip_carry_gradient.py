"""Clipping inside the recurrence, against a backward loop written by hand."""

import jax
import jax.numpy as jnp
import pytest

import jaxrnn
from tests.laws.tables import H, assert_close, cell_example, total

LIMIT = 0.05


def by_hand(cell, ex):
    """Gradients of a sum over all outputs h, step by step, clipping what comes to each carry."""

    def advance(params, carry, x):
        return jaxrnn.step(cell, params, carry, x)[0]

    pulls, carry = [], ex.carry
    for x in ex.xs:
        carry, pull = jax.vjp(advance, ex.params, carry, x)
        pulls.append((pull, jnp.cos(carry.h)))
    dcarry = jax.tree.map(jnp.zeros_like, carry)
    dparams, dxs = jax.tree.map(jnp.zeros_like, ex.params), []
    for pull, dy in reversed(pulls):
        dcarry = dcarry._replace(h=dcarry.h + dy)
        dcarry = jax.tree.map(lambda ct: jnp.clip(ct, -LIMIT, LIMIT), dcarry)
        step_dparams, dcarry, dx = pull(dcarry)
        dparams = jax.tree.map(jnp.add, dparams, step_dparams)
        dxs.insert(0, dx)
    return dparams, dcarry, jnp.stack(dxs)


@pytest.mark.parametrize(
    "cell", [jaxrnn.lstm(H), jaxrnn.gru(H, reset_after=False)], ids=["lstm", "reset before"]
)
def test_gradients_are_clipped_at_every_step(cell):
    ex = cell_example(cell)
    clipped = jaxrnn.clip_carry_gradient(cell, LIMIT)

    def grads(cell):
        def loss(params, carry, xs):
            return jnp.sin(jaxrnn.unroll(cell, params, carry, xs)[1]).sum()

        return jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(ex.params, ex.carry, ex.xs)

    actual = grads(clipped)
    assert_close(actual, by_hand(cell, ex), 1e-13)
    assert jnp.abs(actual[2] - grads(cell)[2]).max() > 0.01  # the limit is reached


def test_clips_under_vmap_and_in_layers():
    cell = jaxrnn.clip_carry_gradient(jaxrnn.gru(H), LIMIT)
    ex = cell_example(cell)

    def loss(params, carry, xs):
        return total(jaxrnn.remat(jaxrnn.rnn(cell)).apply(params, carry, xs)[1])

    grad = jax.grad(loss, argnums=2)
    mapped = jax.jit(jax.vmap(grad, (None, 0, 1), 1))(ex.params, ex.carry, ex.xs)
    rows = [
        jax.jit(grad)(ex.params, jax.tree.map(lambda leaf, row=row: leaf[row], ex.carry), xs)
        for row, xs in enumerate(ex.xs.swapaxes(0, 1))
    ]
    assert_close(mapped, jnp.stack(rows, axis=1), 1e-13)
