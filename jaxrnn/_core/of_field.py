"""Wrappers that leave a state equation as it is, and keep its parameters in a field."""

import dataclasses
from collections.abc import Callable

from jaxrnn._core.types import Cell, Params


@dataclasses.dataclass(frozen=True)
class OfField:
    """A function of a wrapped cell, whose parameters are a field of the wrapper's parameters.

    An engine that knows the cell by its functions finds them in here.
    """

    function: Callable
    field: str

    def __call__(self, params, *args):
        return self.function(getattr(params, self.field), *args)


def unwrapped(cell: Cell) -> Cell:
    """`cell` with the functions that it has of an inner cell, for the parameters of that one."""
    while isinstance(cell.recur, OfField) and isinstance(cell.update, OfField):
        project = cell.project.function if isinstance(cell.project, OfField) else None
        cell = cell._replace(
            project=project, recur=cell.recur.function, update=cell.update.function
        )
    return cell


def unwrapped_params(cell: Cell, params: Params) -> Params:
    """The parameters of ``unwrapped(cell)``."""
    recur, update = cell.recur, cell.update
    while isinstance(recur, OfField) and isinstance(update, OfField):
        params = getattr(params, recur.field)
        recur, update = recur.function, update.function
    return params
