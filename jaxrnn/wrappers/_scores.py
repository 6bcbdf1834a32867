"""How a query attends to a memory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.numerics import over_rows, with_axes
from jaxrnn._core.types import Params

SCORES = ("dot", "general", "additive")


class Ready(NamedTuple):
    """The parameters of `jaxrnn.attention` for one sequence."""

    cell: Params  # prepared
    query: jax.Array | None
    keys: jax.Array  # (B, S, A) or (B, S, D)
    score: jax.Array | None  # (A,)
    feed: jax.Array | None
    memory: jax.Array  # (B, S, D)
    mask: jax.Array | None  # bool (B, S)


def attend(params: Ready, query: jax.Array, *, in_loop: bool) -> jax.Array:
    """What queries (..., B, A) read from the memory: (..., B, D), in its dtype."""
    if params.score is None:
        scores = _dots(params, query)
    elif in_loop or query.ndim < params.keys.ndim:
        scores = _additive(params, query)
    else:
        scores = _additive_by_entry(params, query)
    if params.mask is not None:
        mask = with_axes(scores.ndim, params.mask)
        scores = jnp.where(mask, scores, jnp.finfo(scores.dtype).min)
    weights = jax.nn.softmax(scores, axis=-1)
    if params.mask is not None:  # a row without any entry reads nothing
        weights = jnp.where(mask, weights, jnp.zeros_like(weights))
    memory = params.memory.astype(weights.dtype)
    return jnp.einsum("...s,...sd->...d", weights, memory).astype(params.memory.dtype)


def _dots(params, query):
    return jnp.einsum("...a,...sa->...s", query, params.keys.astype(query.dtype))


def _additive(params, query):
    keys, score = params.keys.astype(query.dtype), params.score.astype(query.dtype)
    hidden = jnp.tanh(query[..., None, :] + with_axes(query.ndim + 1, keys))
    return jnp.sum(hidden * over_rows(score, hidden), axis=-1)


def _additive_by_entry(params, query):
    """For all steps at once, one entry of the memory at a time: no array (T, B, S, A) is made."""
    keys, score = params.keys.astype(query.dtype), params.score.astype(query.dtype)

    @jax.checkpoint
    def of_entry(key):
        hidden = jnp.tanh(query + with_axes(query.ndim, key))
        return jnp.sum(hidden * over_rows(score, hidden), axis=-1)

    return jnp.moveaxis(jax.lax.map(of_entry, jnp.moveaxis(keys, -2, 0)), 0, -1)
