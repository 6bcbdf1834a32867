"""Carries can be donated to a compiled step: no two of their arrays share a buffer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import LAYERS, B, H, I, layer_example


@pytest.mark.slow_law
@pytest.mark.parametrize("batch", [(), (B,)])
@pytest.mark.parametrize("name", LAYERS)
def test_an_initial_carry_can_be_donated(name, batch):
    """Alone, and with the parameters (jax#9635, flax#5461)."""
    layer = LAYERS[name].layer
    params, _, xs, *_ = layer_example(LAYERS[name], shape=(1, *batch, I))
    kept = jax.tree.map(np.array, params)
    give = jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)
    give(layer.init_carry(params, xs))
    jax.tree.map(np.testing.assert_array_equal, params, kept)
    carry = layer.init_carry(params, xs)
    give((params, carry))


@pytest.mark.parametrize("batch", [(), (B,)])
def test_the_initial_carry_of_a_cell_shares_no_array(batch):
    cell = jaxrnn.state_dropout(jaxrnn.learned_carry(jaxrnn.lstm(H)), 0.3)
    x = jnp.ones((*batch, I))
    params = cell.init(jax.random.key(0), x)
    leaves = jax.tree.leaves((params, cell.init_carry(params, x)))
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)


@pytest.mark.parametrize("rebuild", [True, False])
def test_the_carry_of_a_step_can_be_donated(rebuild):
    """Also of a cell that holds an array, which runs without a program of its own."""
    cell = jaxrnn.state_dropout(jaxrnn.learned_carry(jaxrnn.lstm(H)), 0.3)
    if rebuild:
        one = jnp.ones(H)
        cell = cell._replace(output=lambda params, carry, u: carry.carry.h * one)
    x = jnp.ones(I)
    params = cell.init(jax.random.key(0), x)
    carry, _ = jaxrnn.step(cell, params, None, x)
    carry, _ = jax.jit(lambda carry: jaxrnn.step(cell, params, carry, x), donate_argnums=0)(carry)
    jax.jit(lambda carry: jaxrnn.step(cell, params, carry, x), donate_argnums=0)(carry)
