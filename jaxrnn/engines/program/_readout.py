"""The output of a cell as one more leaf of its carry, so that a program of its step makes it."""

from typing import Any

import jax

from jaxrnn._core.types import Cell
from jaxrnn.engines.program._step import Sizes
from jaxrnn.engines.program._tape import Ref, record
from jaxrnn.engines.program._views import NotCovered

_VIEWS = frozenset(("reshape", "squeeze", "broadcast_in_dim"))  # which compute nothing
_PRODUCTS = frozenset(("dot_general", "conv_general_dilated"))  # faster over all steps at once


def with_output(cell: Cell, sizes: Sizes) -> tuple[Cell, Any] | None:
    """`cell` with the carry ``(carry, y)``, and y of one row; None where that gains nothing.

    Args:
      cell: a `Cell`.
      sizes: of a row.
    """
    try:
        tape, structure = record(cell.output, sizes.params, sizes.carry, sizes.u)
    except NotCovered:  # which the step may not be
        return None
    names = {entry.equation.primitive.name for entry in tape.entries}
    if names <= _VIEWS or names & _PRODUCTS:
        return None
    if not all(isinstance(ref, Ref) for ref in tape.outputs):
        return None
    types = [tape.types[ref.number] for ref in tape.outputs]
    y = structure.unflatten([jax.ShapeDtypeStruct(like.shape, like.dtype) for like in types])
    dtypes = {leaf.dtype for leaf in jax.tree.leaves((y, sizes.carry))}
    if len(dtypes) > 1 or not jax.tree.leaves(y):
        return None

    def recur(params, carry):
        return cell.recur(params, carry[0])

    def update(params, carry, u, v):
        new = cell.update(params, carry[0], u, v)
        return new, cell.output(params, new, u)

    return cell._replace(recur=recur, update=update, output=_made), y


def _made(params, carry, u):
    return carry[1]
