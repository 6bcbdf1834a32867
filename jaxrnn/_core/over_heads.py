"""A function of a cell, mapped over heads that stand side by side."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from jaxrnn._core.of_field import unwrapped
from jaxrnn._core.types import Cell

AXIS = -2  # of carries and of what a step hands on; parameters have heads first


@dataclasses.dataclass(frozen=True)
class OverHeads:
    """``function(params, *states)`` for parameters (N, ...) and states (..., N, H).

    Engines know it by this type: heads are loops that need nothing of each other.
    """

    function: Callable

    def __call__(self, params: Any, *states: Any) -> Any:
        """The same of all heads, (..., N, H)."""
        axes = 0, *[AXIS] * len(states)
        return jax.vmap(self.function, in_axes=axes, out_axes=AXIS)(params, *states)


def one_head(cell: Cell) -> Cell | None:
    """The state equation of one head of `cell`; None if it has none.

    Its parameters are those of ``unwrapped(cell)``, at one index of their first axis.
    """
    recur, update = unwrapped(cell).recur, unwrapped(cell).update
    if not isinstance(recur, OverHeads) or not isinstance(update, OverHeads):
        return None
    return cell._replace(recur=recur.function, update=update.function)
