"""Unroll by cuDNN. It knows lengths and no masks, so the real steps of each row go first."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.compaction import compacted
from jaxrnn._core.loop import Loop
from jaxrnn._core.masking import over_batch, select, zero_where_masked
from jaxrnn._core.types import Carry, Cell
from jaxrnn.engines._table import Call
from jaxrnn.engines.cudnn._call import States, call
from jaxrnn.engines.cudnn._weights import packed


def run(cell: Cell, loop: Loop, given: Call) -> tuple[Carry, Any]:
    """Runs `cell` over a sequence.

    Args:
      cell: one that `_when.why_not` has nothing against.
      loop: the number of steps and their direction.
      given: its arrays.

    Returns:
      The carry after the last step, and the outputs (T, ..., H).

    Raises:
      ValueError: `jax.default_matmul_precision` asks for products that cuDNN does not have.
    """
    weights = packed(given.params)
    steps, *batch = given.xs.shape[:-1]
    rows = math.prod(batch)
    xs = given.xs.reshape(steps, rows, -1)
    carry = jax.tree.map(lambda leaf: leaf.reshape(rows, -1), given.carry)
    mask = None
    if given.mask is not None:
        mask = over_batch(given.mask, (steps, *batch), True).reshape(steps, rows)
    last, ys = _either_way(loop.reverse, weights, carry, xs, mask)
    last = jax.tree.map(lambda leaf: leaf.reshape(*batch, -1), last)
    return last, ys.reshape(steps, *batch, -1)


def _either_way(reverse, weights, carry, xs, mask):
    if not reverse:
        return _right_padded(weights, carry, xs, mask)
    xs, mask = jax.tree.map(lambda x: x[::-1], (xs, mask))
    last, ys = _right_padded(weights, carry, xs, mask)
    return last, ys[::-1]


def _right_padded(weights, carry, xs, mask):
    """The real steps of each row first, as many as its length says; and back."""
    if mask is None:
        return call(weights, States(carry, jnp.full(xs.shape[1], len(xs), jnp.int32)), xs)
    xs, _ = compacted(xs, mask)
    lengths = jnp.sum(mask, axis=0, dtype=jnp.int32)
    # cuDNN crashes on a row without a step: it makes one from zeros, which is thrown away.
    is_empty = lengths == 0
    start = select(is_empty, jax.tree.map(jnp.zeros_like, carry), carry)
    last, ys = call(weights, States(start, jnp.maximum(lengths, 1)), xs)
    places = jnp.maximum(jnp.cumsum(mask, axis=0, dtype=jnp.int32) - 1, 0)
    ys = jnp.take_along_axis(ys, places[..., None], axis=0)
    return select(is_empty, carry, last), zero_where_masked(mask, ys)
