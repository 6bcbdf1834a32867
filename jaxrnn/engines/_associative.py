"""``implementation="associative"``: a linear cell in parallel over time.

    h_t = a_t h_{t-1} + b_t

Two steps in a row are one step of the same kind, so log2(T) rounds of pairs make all h_t, or, on a
CPU, one pass of a native kernel where there is one. A reset makes a_t zero and puts the initial
carry into b_t; a masked step has a_t = 1 and b_t = 0.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.loop import Loop
from jaxrnn._core.masking import select, zero_where_masked
from jaxrnn._core.types import Carry, Cell, nothing
from jaxrnn.cells._affine import affine_update
from jaxrnn.engines._table import Call, Engine, Traits
from jaxrnn.engines.linear._linear_scan import states


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
    hs = jax.tree.map(functools.partial(states, reverse=loop.reverse), a, b, call.carry)
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


ASSOCIATIVE = Engine("associative", _why_not, _why_not_chosen, _run)
