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
from jaxrnn._core.sharing import check_shared_axes, shared_shape
from jaxrnn._core.types import Carry, Cell, Params, check_cell


class LearnedCarryParams(NamedTuple):
    params: Params  # of the cell
    carry: Carry  # of one sequence, (H,) a leaf; None for leaves that are not floating


@constructor
def learned_carry(cell: Cell, *, shared_axes: tuple[int, ...] = ()) -> Cell:
    """`cell`, whose initial carry is a parameter, shared by all sequences.

    It starts from the initial carry of `cell`. A reset restores it too, and brings it gradient.

    Args:
      cell: any cell for inputs (..., I), or pictures.
      shared_axes: the axes of a leaf along which its values are shared, counted from the last, -1:
        ``(-3, -2)`` learns one value for each channel of pictures (..., height, width, channels),
        whatever their size. Otherwise each pixel has its own.

    Returns:
      A `Cell` with parameters `LearnedCarryParams` and the carry of `cell`. The engines that
      run `cell` run it too.

    Raises:
      ValueError, TypeError: `cell` is not a `Cell`, its input is not (..., I), or it comes from
        `jaxrnn.state_dropout` or `jaxrnn.reset_leaves`, which go outside; or `shared_axes` are not
        axes of the leaves.

    References: Forcada and Carrasco, 1995, "Learning the initial state of a second-order recurrent
    neural network during regular-language inference".

    Examples:
      >>> cell = jaxrnn.learned_carry(jaxrnn.lstm(8))
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> params.carry.c.shape  # one for all sequences
      (8,)
      >>> params = params._replace(carry=jax.tree.map(jnp.ones_like, params.carry))
      >>> cell.init_carry(params, xs[0]).c.sum().tolist()
      16.0
    """
    check_cell(cell)
    check_shared_axes(shared_axes)

    def learned(leaf):
        if not is_floating(leaf):
            return None
        return leaf[tuple(map(slice, shared_shape(leaf.shape, shared_axes)))]

    def init(key, x):
        check_no_leaf_resets("learned_carry", without_noise(x))
        if len(jax.tree.leaves(x)) == 1:
            jax.tree.map(check_features, x)
        params = cell.init(key, x)
        one = without_batch(without_noise(x), cell.num_feature_axes)
        carry = cell.init_carry(params, one)
        check_no_state_dropout("learned_carry", carry)
        return LearnedCarryParams(params, jax.tree.map(learned, carry))

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
