"""``implementation="scan"``: a plain scan with JAX's own autodiff, the definition of an unroll."""

from typing import Any

from jaxrnn._core.loop import Loop, scan
from jaxrnn._core.masking import masked, resetting, resetting_params
from jaxrnn._core.types import Carry, Cell, Params, advance
from jaxrnn.engines._table import Call, Engine, nothing_against


def with_flags(cell: Cell, call: Call) -> tuple[Cell, Params, Any]:
    """The cell that reads mask and resets as inputs, its parameters and its inputs."""
    params, xs = call.params, call.xs
    if call.resets is not None:
        params, xs = resetting_params(cell, params, call.initial), (xs, call.resets)
        cell = resetting(cell)
    if call.mask is not None:
        cell, xs = masked(cell), (xs, call.mask)
    return cell, params, xs


def _run(cell: Cell, loop: Loop, call: Call) -> tuple[Carry, Any]:
    cell, params, xs = with_flags(cell, call)

    def body(carry, x):
        return advance(cell, params, carry, cell.project(params, x))

    return scan(loop, body, call.carry, xs)


SCAN = Engine("scan", nothing_against, nothing_against, _run)
