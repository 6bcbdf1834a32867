"""An initial carry that is learned."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._checks import check_features, check_params
from jaxrnn._noise import check_no_state_dropout
from jaxrnn._precision import is_floating
from jaxrnn._types import Carry, Cell, Params, splits
from jaxrnn._unroll import check_cell


class LearnedCarryParams(NamedTuple):
    params: Params  # of the cell
    carry: Carry  # of one sequence, (H,) a leaf; None for leaves that are not floating


def learned_carry(cell: Cell) -> Cell:
    """`cell`, whose initial carry is a parameter, shared by all sequences.

    It starts from the initial carry of `cell`. A reset returns to it too, and brings it gradient.

    Args:
      cell: any cell for inputs (..., I).

    Returns:
      A `Cell` with parameters `LearnedCarryParams` and the carry of `cell`.

    Raises:
      ValueError, TypeError: `cell` is no cell, its input is not (..., I), or it is one of
        `jaxrnn.state_dropout`, which goes outside.
    """
    check_cell(cell)

    def init(key, x):
        for leaf in jax.tree.leaves(x):
            check_features(leaf)
        params = cell.init(key, x)
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[-1:], leaf.dtype), x)
        carry = cell.init_carry(params, one)
        check_no_state_dropout("learned_carry", carry)
        return LearnedCarryParams(
            params, jax.tree.map(lambda leaf: leaf if is_floating(leaf) else None, carry)
        )

    def init_carry(params, x):
        def take(learned, fixed):
            return fixed if learned is None else jnp.broadcast_to(learned, fixed.shape)

        check_params(params, LearnedCarryParams)
        fixed = cell.init_carry(params.params, x)
        return jax.tree.map(take, params.carry, fixed, is_leaf=lambda leaf: leaf is None)

    def project(params, x):
        return cell.project(params.params, x)

    def recur(params, carry):
        return cell.recur(params.params, carry)

    def update(params, carry, u, v):
        return cell.update(params.params, carry, u, v)

    def noise(params, key, step, x):
        return cell.noise(params.params, key, step, x)

    return Cell(
        init,
        init_carry,
        project,
        recur if splits(cell) else cell.recur,
        update,
        noise if cell.noise else None,
    )
