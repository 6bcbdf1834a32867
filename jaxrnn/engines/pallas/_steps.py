"""What one step does, done for all steps of all loops at once."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp


def at_all_steps(
    function: Callable, operands: Sequence, leads: Sequence[int], axes: Sequence[tuple[int, ...]]
) -> tuple[list, tuple[int, ...]]:
    """The results of a function of one step, at all steps of all loops.

    Args:
      function: of the operands at one step, to a list.
      operands: of all steps.
      leads: for each operand 1 where time is its first axis, and 0 where it is the same at all.
      axes: for each operand the axes of the grid that it has, in order, after time.

    Returns:
      Arrays (T, *grid, ...), and the axes of the grid that they have: all that an operand has.
    """
    run = jax.vmap(function, in_axes=[0 if lead else None for lead in leads])
    present = tuple(sorted(set().union(*axes)))
    for axis in reversed(present):
        in_axes = [lead if axis in has else None for lead, has in zip(leads, axes, strict=True)]
        run = jax.vmap(run, in_axes=in_axes, out_axes=1)
    return run(*operands), present


def spread(
    xs: Sequence[jax.Array], axes: Sequence[tuple[int, ...]], grid: tuple[int, ...]
) -> list[jax.Array]:
    """Arrays (1 or T, ...) with all axes of the grid after time; `axes` tells which they have."""

    def one(x, axes):
        for axis, size in enumerate(grid):
            if axis not in axes:
                shape = *x.shape[: 1 + axis], size, *x.shape[1 + axis :]
                x = jnp.broadcast_to(jnp.expand_dims(x, 1 + axis), shape)
        return x

    return [one(x, axes) for x, axes in zip(xs, axes, strict=True)]
