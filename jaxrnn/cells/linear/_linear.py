"""Shared by linear cells: their memory, how they are put together, positive coefficients."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.types import Cell, nothing
from jaxrnn.cells._affine import affine_update


class MemoryCarry(NamedTuple):
    """The carry of a cell whose memory is not its output."""

    c: jax.Array  # (..., H)


def linear_cell(init: Callable, init_carry: Callable, project: Callable, **others: Any) -> Cell:
    """The cell with the state equation h' = a h + b, of what `project` makes.

    Args:
      init: as of a `Cell`.
      init_carry: likewise.
      project: ``(params, x) -> Affine``.
      **others: other functions of a `Cell`.
    """
    return Cell(init, init_carry, project, nothing, affine_update, **others)


def positive(x: jax.Array) -> jax.Array:
    """x + 1/2 from 0 on, and σ(x) below: positive and continuous, as the states of a minimal GRU.

    Args:
      x: of any shape.
    """
    return jnp.where(x >= 0, jnp.maximum(x, 0) + 0.5, jax.nn.sigmoid(jnp.minimum(x, 0)))
