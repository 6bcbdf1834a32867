"""`jax.vmap` of a loop: its rows, or a grid of loops."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun

from jaxrnn.engines.pallas._plan import Plan
from jaxrnn.engines.pallas._programs import simplified


def mapped(size: int, operands: Any, dims: Any, program: Any, plan: Plan) -> tuple:
    """The mapped axis as an axis of the grid, each index with a loop of its own.

    Args:
      size: of the mapped axis.
      operands: of the loop.
      dims: for each operand where the mapped axis is, or None.
      program: the step or the map.
      plan: of the operands.

    Returns:
      The same for the new loop, ``(operands, program, plan)``, and the place of the mapped axis in
      the carry after the last step; in sequences it is one further back.
    """
    moved, axes = [], []
    for i, (x, dim, old) in enumerate(zip(operands, dims, plan.axes, strict=True)):
        moved.append(x if dim is None else jnp.moveaxis(x, dim, plan.lead(i)))
        axes.append((() if dim is None else (0,)) + tuple(axis + 1 for axis in old))
    return moved, program, plan._replace(grid=(size, *plan.grid), axes=tuple(axes)), 0


def widened(size: int, operands: Any, dims: Any, program: Any, plan: Plan) -> tuple:
    """The mapped axis as rows of the carry, and of what is mapped with it; otherwise as `mapped`.

    The carry has no batch axis yet, and constants are not mapped.
    """
    num_fixed = len(plan.grid)
    num_read = len(operands) - (plan.num_carry if plan.linear else 0)
    moved, axes = [], []
    for i, (x, dim, old) in enumerate(zip(operands, dims, plan.axes, strict=True)):
        is_carry = plan.num_consts <= i < plan.num_consts + plan.num_carry
        is_state = is_carry or i >= num_read
        at = plan.lead(i) + len(old)
        if dim is None and is_state:
            x = jnp.broadcast_to(jnp.expand_dims(x, at), (*x.shape[:at], size, *x.shape[at:]))
        elif dim is not None:
            x = jnp.moveaxis(x, dim, at)
        moved.append(x)
        axes.append(0 if dim is not None or is_state else None)
    run = jaxpr_as_fun(simplified(program, keeps_custom=True))
    step = jax.vmap(lambda *args: run(*args), in_axes=axes[:num_read], axis_size=size)
    plan = plan._replace(has_rows=True)
    program = jax.make_jaxpr(step)(*(plan.one(i, x) for i, x in enumerate(moved[:num_read])))
    return moved, program, plan, num_fixed
