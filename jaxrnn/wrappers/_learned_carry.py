"""An initial carry that is learned."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_features, check_params
from jaxrnn._core.context import prepare_inner
from jaxrnn._core.entry import constructor
from jaxrnn._core.masking import check_no_leaf_resets
from jaxrnn._core.noise import check_no_state_dropout, without_batch, without_noise
from jaxrnn._core.numerics import is_floating
from jaxrnn._core.types import Carry, Cell, Params, check_cell


class LearnedCarryParams(NamedTuple):
    params: Params  # of the cell
    carry: Carry  # of one sequence, (H,) a leaf; None for leaves that are not floating


@constructor
def learned_carry(cell: Cell) -> Cell:
    """`cell`, whose initial carry is a parameter, shared by all sequences.

    It starts from the initial carry of `cell`. A reset restores it too, and brings it gradient.

    Args:
      cell: any cell for inputs (..., I).

    Returns:
      A `Cell` with parameters `LearnedCarryParams` and the carry of `cell`. The engines that
      run `cell` run it too.

    Raises:
      ValueError, TypeError: `cell` is not a `Cell`, its input is not (..., I), or it comes from
        `jaxrnn.state_dropout` or `jaxrnn.reset_leaves`, which go outside.
    """
    check_cell(cell)

    def init(key, x):
        check_no_leaf_resets("learned_carry", without_noise(x))
        if len(jax.tree.leaves(x)) == 1:
            jax.tree.map(check_features, x)
        params = cell.init(key, x)
        carry = cell.init_carry(params, without_batch(without_noise(x)))
        check_no_state_dropout("learned_carry", carry)
        return LearnedCarryParams(
            params, jax.tree.map(lambda leaf: leaf if is_floating(leaf) else None, carry)
        )

    def init_carry(params, x):
        def take(learned, fixed):
            if learned is None:
                return fixed
            # A copy, so that donating the carry does not delete the parameter.
            return jnp.array(jnp.broadcast_to(learned, fixed.shape), copy=True)

        check_params(params, LearnedCarryParams)
        fixed = cell.init_carry(params.params, x)
        return jax.tree.map(take, params.carry, fixed, is_leaf=lambda leaf: leaf is None)

    def noise(params, key, step, x):
        return cell.noise(params.params, key, step, x)

    return cell._replace(
        init=init,
        init_carry=init_carry,
        prepare=prepare_inner(cell, lambda params: params.params),
        noise=noise if cell.noise else None,
    )
