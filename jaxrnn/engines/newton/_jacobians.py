"""Derivatives of independent rows: of all steps and all rows at once, column by column."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn._core.loop import varying_like

# Columns computed at once where only their diagonal is kept.
COLUMNS = 16


def matrices(linear: Callable, like: jax.Array) -> jax.Array:
    """The matrices (..., n, n) of a linear function of rows (..., n) that depend on no other row.

    One vector for all rows gives a column of every matrix, so n products make all of them.

    Args:
      linear: from rows (..., n) to rows (..., n).
      like: rows; only their shape and dtype are read.
    """

    def column(vector):
        return linear(_in_all_rows(vector, like))

    return jax.vmap(column, out_axes=-1)(jnp.eye(like.shape[-1], dtype=like.dtype))


def diagonals(linear: Callable, like: jax.Array) -> jax.Array:
    """The diagonals (..., n) of these matrices, in the memory of a few columns."""

    def entry(vector):
        vectors = _in_all_rows(vector, like)
        return jnp.sum(linear(vectors) * vectors, axis=-1)

    size = like.shape[-1]
    entries = lax.map(entry, jnp.eye(size, dtype=like.dtype), batch_size=min(size, COLUMNS))
    return jnp.moveaxis(entries, 0, -1)


def _in_all_rows(vector, like):
    return varying_like(like, jnp.broadcast_to(vector, like.shape))
