"""Several small cells side by side: a recurrent kernel in blocks."""

import functools
from typing import Any

import jax

from jaxrnn._core.checks import check_size, describe
from jaxrnn._core.entry import constructor
from jaxrnn._core.noise import without_batch
from jaxrnn._core.over_heads import AXIS, OverHeads
from jaxrnn._core.types import Cell, check_splits, unchanged


@constructor
def heads(cell: Cell, num_heads: int) -> Cell:
    """Several cells side by side, each with its own state: a block-diagonal recurrent kernel.

    Every head reads the whole input. N heads of H units have N H² recurrent weights for each gate
    in place of (N H)²: a layer is wider for as many weights.

    Args:
      cell: one head. Its carry, and what its functions hand on, are arrays with one axis of units.
      num_heads: N.

    Returns:
      A `Cell` with the parameters of `cell`, each array with a leading axis (N, ...), and its
      carry, each array (..., N, H). Its output is that of all heads in a row, (..., N*H).

    Raises:
      ValueError, TypeError: `num_heads` is not a positive integer, or `cell` is not a `Cell`, is
        made by `jaxrnn.from_step`, draws random numbers, or has a carry without one axis of units.

    References: Beck et al., 2024, "xLSTM: extended long short-term memory".

    Examples:
      >>> cell, x = jaxrnn.heads(jaxrnn.gru(8), 4), jnp.ones((2, 4))  # (B, I)
      >>> params = jax.eval_shape(cell.init, jax.random.key(0), x)
      >>> params.recurrent_kernel.shape  # four blocks of a kernel (32, 96)
      (4, 8, 24)
      >>> carry, y = jax.eval_shape(lambda params: jaxrnn.step(cell, params, None, x), params)
      >>> carry.h.shape, y.shape
      ((2, 4, 8), (2, 32))
    """
    check_splits("heads", cell)
    check_size("num_heads", num_heads)
    if cell.noise is not None or cell.num_feature_axes != 1:
        raise ValueError(
            f"`heads` needs a cell for inputs (..., I) that draws nothing, got {cell!r}. Wrap the "
            "other way around, as in `jaxrnn.zoneout(jaxrnn.heads(cell, 4), 0.1)`."
        )
    each = functools.partial(jax.vmap, out_axes=AXIS)

    def init(key, x):
        params = jax.vmap(lambda key: cell.init(key, x))(jax.random.split(key, num_heads))
        one = without_batch(x)
        _check_carry(cell, jax.eval_shape(lambda: init_carry(params, one)))
        return params

    def init_carry(params, x):
        return each(lambda params: cell.init_carry(params, x))(params)

    def prepare(params, context):
        return jax.vmap(lambda params: cell.prepare(params, context))(params)

    def project(params, x):
        return each(lambda params: cell.project(params, x))(params)

    def output(params, carry, u):
        return jax.tree.map(_in_a_row, OverHeads(cell.output)(params, carry, u))

    return cell._replace(
        init=init,
        init_carry=init_carry,
        project=project,
        recur=OverHeads(cell.recur),
        update=OverHeads(cell.update),
        output=output,
        prepare=unchanged if cell.prepare is unchanged else prepare,
    )


def _in_a_row(y: Any) -> Any:
    return y.reshape(*y.shape[:-2], y.shape[-2] * y.shape[-1])


def _check_carry(cell, carry):
    for leaf in jax.tree.leaves(carry):
        if len(leaf.shape) != 2:
            raise ValueError(
                "`heads` needs a cell whose carry has one axis of units in each array, (..., H), "
                f"and that of {cell!r} has {describe(leaf)} for {leaf.shape[:1]} heads."
            )
