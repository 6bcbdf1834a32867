"""How a query attends to a memory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.numerics import over_rows, with_axes
from jaxrnn._core.types import Params

SCORES = ("dot", "general", "additive", "location")


class Ready(NamedTuple):
    """The parameters of `jaxrnn.attention` for one sequence."""

    cell: Params  # prepared
    query: jax.Array | None
    keys: jax.Array  # (B, S, A) or (B, S, D)
    score: jax.Array | None  # (A,)
    location: jax.Array | None  # (W, A)
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
    return read(params, weigh(params, scores))


def attend_from(params: Ready, query: jax.Array, before: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What a query (..., B, A) reads, (..., B, D), and the weights (..., B, S) with which.

    Args:
      params: of a score that knows its location.
      query: of one step.
      before: the weights of the step before, (..., B, S).
    """
    weights = weigh(params, _additive(params, query, _location(params, before, query.dtype)))
    return read(params, weights), weights.astype(before.dtype)


def weigh(params: Ready, scores: jax.Array) -> jax.Array:
    """The softmax of scores (..., B, S) over the real entries."""
    if params.mask is None:
        return jax.nn.softmax(scores, axis=-1)
    mask = with_axes(scores.ndim, params.mask)
    scores = jnp.where(mask, scores, jnp.finfo(scores.dtype).min)
    weights = jax.nn.softmax(scores, axis=-1)
    return jnp.where(mask, weights, jnp.zeros_like(weights))  # a row without entries reads nothing


def read(params: Ready, weights: jax.Array) -> jax.Array:
    """The sum of the memory's entries with these weights, (..., B, D), in its dtype."""
    memory = params.memory.astype(weights.dtype)
    return jnp.einsum("...s,...sd->...d", weights, memory).astype(params.memory.dtype)


def _dots(params, query):
    return jnp.einsum("...a,...sa->...s", query, params.keys.astype(query.dtype))


def _additive(params, query, location=None):
    keys, score = params.keys.astype(query.dtype), params.score.astype(query.dtype)
    inner = query[..., None, :] + with_axes(query.ndim + 1, keys)
    hidden = jnp.tanh(inner if location is None else inner + location)
    return jnp.sum(hidden * over_rows(score, hidden), axis=-1)


def _location(params, weights, dtype):
    """The weights (..., B, S) of the step before, convolved over the entries: (..., B, S, A)."""
    kernel = params.location.astype(dtype)
    width, num_entries = kernel.shape[0], weights.shape[-1]
    sides = ((width - 1) // 2, width // 2)
    padded = jnp.pad(weights.astype(dtype), [(0, 0)] * (weights.ndim - 1) + [sides])
    windows = [padded[..., w : w + num_entries] for w in range(width)]
    return jnp.einsum("...sw,wa->...sa", jnp.stack(windows, axis=-1), kernel)


def _additive_by_entry(params, query):
    """For all steps at once, one entry of the memory at a time: no array (T, B, S, A) is made."""
    keys, score = params.keys.astype(query.dtype), params.score.astype(query.dtype)

    @jax.checkpoint
    def of_entry(key):
        hidden = jnp.tanh(query + with_axes(query.ndim, key))
        return jnp.sum(hidden * over_rows(score, hidden), axis=-1)

    return jnp.moveaxis(jax.lax.map(of_entry, jnp.moveaxis(keys, -2, 0)), 0, -1)
