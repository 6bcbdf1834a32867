"""Where NaN or infinity first comes in."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import check_sequence
from jaxrnn._core.entry import constructor
from jaxrnn._core.masking import zero_where_masked
from jaxrnn._core.numerics import is_floating
from jaxrnn._core.timed import inputs_of
from jaxrnn._core.types import Carry, Cell, Layer, Params, WholeStep, is_whole
from jaxrnn.diagnostics._streaming import as_cell
from jaxrnn.engines._unroll import unroll


class NonFinite(NamedTuple):
    """The first place that is not finite."""

    step: int | None  # None before the first step: in the parameters or the given carry
    place: str  # such as "carry.c", "xs", "ys" or "params.kernel"

    def __str__(self):
        when = "before the first step" if self.step is None else f"at step {self.step}"
        return f"`{self.place}` is not finite {when}"


def first_nonfinite(
    model: Cell | Layer,
    params: Params,
    carry: Carry | None,
    xs: Any,
    *,
    mask: jax.Array | None = None,
    resets: jax.Array | None = None,
    context: Any = None,
) -> NonFinite | None:
    """Where NaN or infinity first comes in: the step, and the leaf of the inputs, carry or outputs.

        print(first_nonfinite(cell, params, None, xs))  # `carry.c` is not finite at step 17

    Args:
      model: a cell, or a layer that can stream, whose carry is that of all its parts.
      params: from its `init`.
      carry: the carry before the first step; None means the initial carry.
      xs: inputs (T, ..., I).
      mask: bool (T, ...), as in `jaxrnn.unroll`. Padding may hold anything.
      resets: bool (T, ...), as in `jaxrnn.unroll`.
      context: as in `jaxrnn.unroll`, for a cell.

    Returns:
      `NonFinite`, or None if all is finite. Within a step, inputs come first, then the new carry,
      then the output. It reads values, so it cannot run in `jax.jit`.

    Raises:
      ValueError, TypeError: an argument does not fit the others, or a layer cannot stream.

    Examples:
      >>> cell, xs = jaxrnn.elman(2, use_bias=False), jnp.ones((7, 3, 1))
      >>> params = jaxrnn.cells.ElmanParams(jnp.ones((1, 2)), jnp.eye(2), None)
      >>> jaxrnn.diagnostics.first_nonfinite(cell, params, None, xs) is None
      True
      >>> print(jaxrnn.diagnostics.first_nonfinite(cell, params, None, xs.at[5].set(jnp.nan)))
      `xs` is not finite at step 5
    """
    cell = as_cell("first_nonfinite", model, params, xs)
    xs = inputs_of(cell, xs)
    found = _first_leaf({"params": params, "carry": carry})
    if found is not None:
        return NonFinite(None, found)
    num_steps = check_sequence(xs)
    options = {"mask": mask, "resets": resets, "context": context}
    _, (ys, carries) = unroll(emitting(cell), params, carry, xs, **options)
    parts = {"xs": zero_where_masked(mask, xs), "carry": carries, "ys": ys}
    bad = [(name, _bad_steps(leaf)) for name, leaf in _named_leaves(parts)]
    steps = [int(np.argmax(flags)) if flags.any() else num_steps for _, flags in bad]
    first = min(steps, default=num_steps)
    if first == num_steps:
        return None
    return NonFinite(first, bad[steps.index(first)][0])


def _first_leaf(parts):
    for name, leaf in _named_leaves(parts):
        if not jnp.isfinite(leaf).all():
            return name
    return None


def _named_leaves(parts):
    """The floating leaves of the parts, in order, with names such as ``carry.c``."""
    for part, tree in parts.items():
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            if is_floating(jnp.asarray(leaf)):
                yield part + jax.tree_util.keystr(path), leaf


def _bad_steps(leaf):
    return ~np.asarray(jnp.isfinite(leaf).reshape(leaf.shape[0], -1).all(axis=-1))


@constructor
def emitting(cell: Cell) -> Cell:
    """`cell`, whose output is ``(y, carry)``; unlike `emit_carry`, also one from `from_step`."""

    def step(params, carry, x):
        carry, y = cell.update.step(params, carry, x)
        return carry, (y, carry)

    def output(params, carry, u):
        return cell.output(params, carry, u), carry

    if is_whole(cell):
        return cell._replace(update=WholeStep(step))
    return cell._replace(output=output)
