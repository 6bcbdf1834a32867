"""The linear recurrence of the derivative rule, in parallel over time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.loop import Loop
from jaxrnn.engines.newton._jacobians import matrices
from jaxrnn.engines.newton._matrix_recurrence import recurrence
from jaxrnn.engines.newton._rows import Rows, before


def in_parallel(
    num_batch_axes: int, loop: Loop, body: Callable, carry: Any, steps: Any
) -> tuple[Any, tuple[Any, Any]]:
    """The `recurrence` of a `Schedule`, by the matrices of all steps.

    Args:
      num_batch_axes: of the leaves of `carry`.
      loop: the number of steps and their direction.
      body: ``(tangent, (map, b)) -> (new, (tangent, new))``, with new = map · tangent + b.
      carry: the tangent before the first step.
      steps: the maps and b, (T, ...).

    Returns:
      The tangent after the last step, and the tangents before and after each step.
    """
    rows = Rows.of(carry, num_batch_axes)
    maps, b = steps
    zeros = jax.tree.map(jnp.zeros_like, b)

    def linear(tangents):
        step = jax.vmap(lambda tangent, step: body(tangent, step)[0])
        return rows.join(step(rows.split(tangents), (maps, zeros)))

    first, b = rows.join(carry), rows.join(b)
    after = recurrence(matrices(linear, b), b, first, reverse=loop.reverse)
    last = after[0 if loop.reverse else -1]
    in_order = before(after, first, reverse=loop.reverse), after
    return rows.split(last), tuple(map(rows.split, in_order))
