"""``implementation="associative"``: a linear cell in parallel over time, by an associative scan.

    h_t = a_t h_{t-1} + b_t

Two steps in a row are one step of the same kind, so log2(T) rounds of pairs make all h_t. A reset
makes a_t zero and puts the initial carry into b_t; a masked step has a_t = 1 and b_t = 0.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.loop import Loop
from jaxrnn._core.masking import select, zero_where_masked
from jaxrnn._core.types import Carry, Cell, nothing
from jaxrnn.cells._affine import affine_update
from jaxrnn.engines._table import Call, Engine, Traits


def _why_not(cell: Cell, call: Call | None, traits: Traits) -> str | None:
    if cell.update is affine_update and cell.recur is nothing:
        return None
    return (
        "the cell is not linear: a linear cell has `authoring.affine_update` for its `update` and "
        "`authoring.nothing` for its `recur`"
    )


def _why_not_chosen(cell: Cell, call: Call | None, traits: Traits) -> str:
    return "it has not been measured on any platform"


def _run(cell: Cell, loop: Loop, call: Call) -> tuple[Carry, Any]:
    us = cell.project(call.params, call.xs)
    a, b = _folded(us.a, us.b, call)
    a, b = jax.lax.associative_scan(_after, (a, b), reverse=loop.reverse)
    hs = jax.tree.map(lambda a, h, b: a * h + b, a, call.carry, b)
    ys = cell.output(call.params, hs, us)
    last = jax.tree.map(lambda h: h[0 if loop.reverse else -1], hs)
    return last, zero_where_masked(call.mask, ys)


def _folded(a, b, call):
    """The coefficients, with resets and mask folded in."""
    if call.resets is not None:
        restored = jax.tree.map(lambda a, h, b: a * h + b, a, call.initial, b)
        b = select(call.resets, restored, b)
        a = select(call.resets, jax.tree.map(jnp.zeros_like, a), a)
    if call.mask is not None:
        a = select(call.mask, a, jax.tree.map(jnp.ones_like, a))
        b = zero_where_masked(call.mask, b)
    return a, b


def _after(first, second):
    """Two steps in a row as one: a₂ (a₁ h + b₁) + b₂."""
    (a1, b1), (a2, b2) = first, second
    a = jax.tree.map(jnp.multiply, a1, a2)
    return a, jax.tree.map(lambda a2, b1, b2: a2 * b1 + b2, a2, b1, b2)


ASSOCIATIVE = Engine("associative", _why_not, _why_not_chosen, _run)
