"""A linear cell as one linear recurrence: h_t = a_t h_{t-1} + b_t."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.loop import Loop
from jaxrnn._core.masking import select, zero_where_masked
from jaxrnn._core.types import Carry, Cell
from jaxrnn.engines._table import Call


def run_affine(cell: Cell, loop: Loop, call: Call, states: Callable) -> tuple[Carry, Any]:
    """The last carry and the outputs of a cell with `affine_update`.

    Args:
      cell: to run.
      loop: at least one step.
      call: its arrays.
      states: ``(a, b, h0, reverse=...) -> hs``, how the recurrence is run.
    """
    us = cell.project(call.params, call.xs)
    a, b = _folded(us.a, us.b, call)
    hs = jax.tree.map(functools.partial(states, reverse=loop.reverse), a, b, call.carry)
    ys = cell.output(call.params, hs, us)
    last = jax.tree.map(lambda h: h[0 if loop.reverse else -1], hs)
    return last, zero_where_masked(call.mask, ys)


def _folded(a, b, call):
    """The coefficients, with resets and mask folded in: a reset has a = 0, a masked step a = 1."""
    if call.resets is not None:
        restored = jax.tree.map(lambda a, h, b: a * h + b, a, call.initial, b)
        b = select(call.resets, restored, b)
        a = select(call.resets, jax.tree.map(jnp.zeros_like, a), a)
    if call.mask is not None:
        a = select(call.mask, a, jax.tree.map(jnp.ones_like, a))
        b = zero_where_masked(call.mask, b)
    return a, b
