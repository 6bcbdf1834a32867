"""Recurrences of matrices, chunk by chunk: what is read at all steps, and no state but the chunks'.

Within a chunk, reads are products of queries and keys, as in attention; between chunks, a matrix is
carried. All decays are sums over the steps in between, never differences of long sums, so nothing
is lost where the state is forgotten. References: Sun et al., 2023, "Retentive network"; Yang et
al., 2024, "Gated linear attention transformers with hardware-efficient training" and "Parallelizing
linear transformers with the delta rule over sequence length".
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# Steps of a chunk. Decays of their own for each key take an array (C, C, K), and the delta rule C
# steps in a row.
DECAY_CHUNK, SCALAR_CHUNK, DELTA_CHUNK = 16, 64, 16


class Steps(NamedTuple):
    """What is given at each step, time first; the batch axes come before N.

    Attributes:
      query: (T, ..., N, K).
      key: (T, ..., N, K).
      value: (T, ..., N, V).
      gate: (T, ..., N, K or 1).
      resets: bool (T, ..., N).
    """

    query: jax.Array
    key: jax.Array
    value: jax.Array
    gate: jax.Array
    resets: jax.Array


def over_chunks(
    run: Callable,
    length: int,
    state: jax.Array,
    initial: jax.Array,
    steps: Steps,
    *,
    before: Callable | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Runs chunk by chunk; each is run again for its gradient, which keeps one state a chunk.

    Args:
      run: `decaying` or `by_delta`.
      length: steps of a chunk.
      state: (..., N, K, V).
      initial: (..., N, K, V), what a reset restores.
      steps: T at least 1.
      before: what is computed from the steps of each chunk beforehand, of all chunks at once, as
        one more argument of `run`.

    Returns:
      The last state, and what is read after each step, (T, ..., N, V).
    """
    num_steps = steps.key.shape[0]
    length = min(length, num_steps) if isinstance(num_steps, int) else length
    missing = -num_steps % length

    def chunks(x):
        x = jnp.pad(x, [(0, missing), *[(0, 0)] * (x.ndim - 1)])  # which changes no state
        return x.reshape((num_steps + missing) // length, length, *x.shape[1:])

    given = (jax.tree.map(chunks, steps),)
    given += (jax.vmap(before)(*given),) if before else ()
    body = jax.checkpoint(lambda state, chunk: run(state, initial, *chunk))
    last, reads = lax.scan(body, state, given)
    return last, reads.reshape(num_steps + missing, *reads.shape[2:])[:num_steps]


def decaying(state: jax.Array, initial: jax.Array, steps: Steps) -> tuple[jax.Array, jax.Array]:
    """A chunk of S' = exp(gate) S + k vᵀ.

    Args:
      state: (..., N, K, V), before the chunk.
      initial: likewise, what a reset restores.
      steps: T of them.

    Returns:
      The state after the chunk, and Sᵀ q after each step, (T, ..., N, V).
    """
    query, key, value, gate, resets = steps
    since, sees = _segments(resets)
    # Decays from after step s to after step t, and from before the chunk, or the reset, to t.
    between = jnp.exp(_sums(np.tril(np.ones(sees.shape[:2]))[:, None] * _later(len(key)), gate))
    start = jnp.exp(jnp.einsum("ts...,s...k->t...k", sees.astype(gate.dtype), gate))
    weights = jnp.where(sees[..., None], between, 0)
    if gate.shape[-1] == 1:
        scores = jnp.einsum("t...k,s...k->ts...", query, key) * weights[..., 0]
    else:
        scores = jnp.einsum("t...k,s...k,ts...k->ts...", query, key, weights)
    reads = jnp.einsum("ts...,s...v->t...v", scores, value)
    reads += _from_start(since, start * query, state, initial)
    last = start[-1][..., None] * _chosen(since[-1], state, initial)
    return last + jnp.einsum("s...k,s...v->...kv", weights[-1] * key, value), reads


def by_delta(
    state: jax.Array, initial: jax.Array, steps: Steps, inverse: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """A chunk of S' = S + gate k (v - Sᵀ k)ᵀ. What the steps write solves a triangular system.

    Args:
      state: (..., N, K, V), before the chunk.
      initial: likewise, what a reset restores.
      steps: T of them.
      inverse: (T, T, ..., N), from `delta_inverse`.

    Returns:
      The state after the chunk, and Sᵀ q after each step, (T, ..., N, V).
    """
    query, key, value, gate, resets = steps
    since, sees = _segments(resets)
    seen = sees.astype(key.dtype)
    errors = gate * (value - _from_start(since, key, state, initial))
    written = jnp.einsum("ts...,s...v->t...v", inverse, errors)
    scores = seen * jnp.einsum("t...k,s...k->ts...", query, key)
    reads = jnp.einsum("ts...,s...v->t...v", scores, written)
    reads += _from_start(since, query, state, initial)
    added = jnp.einsum("s...k,s...v->...kv", seen[-1][..., None] * key, written)
    return _chosen(since[-1], state, initial) + added, reads


def delta_inverse(steps: Steps) -> jax.Array:
    """The inverse of the system of `by_delta`: (T, T, ..., N), lower triangular, with ones."""
    _, sees = _segments(steps.resets)
    overlap = jnp.einsum("t...k,s...k->ts...", steps.key, steps.key)
    earlier = sees & (_later(len(overlap)).T.reshape(sees.shape[:2] + (1,) * (sees.ndim - 2)) > 0)
    return _inverse(jnp.where(earlier, steps.gate[:, None, ..., 0] * overlap, 0))


@jax.custom_jvp
def _inverse(below):
    """The inverse of 1 + A, where A (T, T, ...) is 0 on the diagonal and above: by substitution."""
    size = len(below)
    ones = jnp.eye(size, dtype=below.dtype).reshape(size, size, *(1,) * (below.ndim - 2))

    def substitute(t, inverse):
        row = jnp.einsum("s...,sr...->r...", below[t], inverse)
        return inverse.at[t].add(-row)

    return lax.fori_loop(1, size, substitute, ones + jnp.zeros_like(below))


@_inverse.defjvp
def _inverse_jvp(primals, tangents):
    inverse = _inverse(*primals)
    change = jnp.einsum("ts...,sr...,rq...->tq...", inverse, *tangents, inverse)
    return inverse, -change


def _segments(resets) -> tuple[jax.Array, jax.Array]:
    """Whether a reset came by each step (T, ...), and whether t sees what s wrote (T, T, ...)."""
    count = jnp.cumsum(resets, axis=0, dtype=jnp.int32)
    past = np.tril(np.ones((len(resets), len(resets)), bool))
    past = past.reshape(*past.shape, *(1,) * (resets.ndim - 1))
    return count > 0, past & (count[:, None] == count[None])


def _later(length):
    """Which steps j come after s, (s, j)."""
    return np.triu(np.ones((length, length)), 1)


def _sums(which, gate):
    """Sums of the gates (T, ...) over the steps that are named, (T, T, T) -> (T, T, ...)."""
    return jnp.einsum("tsj,j...->ts...", jnp.asarray(which, gate.dtype), gate, precision="highest")


def _from_start(since, query, state, initial):
    """What the queries read from the state before the chunk, or from the one that was restored."""
    from_state, from_initial = (
        jnp.einsum("t...k,...kv->t...v", query, s) for s in (state, initial)
    )
    return jnp.where(since[..., None], from_initial, from_state)


def _chosen(since, state, initial) -> Any:
    return jnp.where(since[..., None, None], initial, state)
