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

# Steps of a chunk. Decays of their own for each key take an array (C, C, K).
DECAY_CHUNK, SCALAR_CHUNK = 16, 64


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
    run: Callable, length: int, state: jax.Array, initial: jax.Array, steps: Steps
) -> tuple[jax.Array, jax.Array]:
    """Runs chunk by chunk; each is run again for its gradient, which keeps one state a chunk.

    Args:
      run: `decaying` or `by_delta`.
      length: steps of a chunk.
      state: (..., N, K, V).
      initial: (..., N, K, V), what a reset restores.
      steps: T at least 1.

    Returns:
      The last state, and what is read after each step, (T, ..., N, V).
    """
    num_steps = steps.key.shape[0]
    length = min(length, num_steps) if isinstance(num_steps, int) else length
    missing = -num_steps % length

    def chunks(x):
        x = jnp.pad(x, [(0, missing), *[(0, 0)] * (x.ndim - 1)])  # which changes no state
        return x.reshape((num_steps + missing) // length, length, *x.shape[1:])

    body = jax.checkpoint(lambda state, chunk: run(state, initial, chunk))
    last, reads = lax.scan(body, state, jax.tree.map(chunks, steps))
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
        last_keys = weights[-1] * key
    else:
        scores = jnp.einsum("t...k,s...k,ts...k->ts...", query, key, weights)
        last_keys = weights[-1] * key
    reads = jnp.einsum("ts...,s...v->t...v", scores, value)
    reads += _from_start(since, start * query, state, initial)
    last = start[-1][..., None] * _chosen(since[-1], state, initial)
    return last + jnp.einsum("s...k,s...v->...kv", last_keys, value), reads


def by_delta(state: jax.Array, initial: jax.Array, steps: Steps) -> tuple[jax.Array, jax.Array]:
    """A chunk of S' = S + gate k (v - Sᵀ k)ᵀ. What each step adds solves a triangular system.

    Args:
      state: (..., N, K, V), before the chunk.
      initial: likewise, what a reset restores.
      steps: T of them.

    Returns:
      The state after the chunk, and Sᵀ q after each step, (T, ..., N, V).
    """
    query, key, value, gate, resets = steps
    since, sees = _segments(resets)
    seen = sees.astype(key.dtype)
    overlap = seen * gate[:, None, ..., 0] * jnp.einsum("t...k,s...k->ts...", key, key)
    system = jnp.moveaxis(overlap, (0, 1), (-2, -1))
    errors = gate * (value - _from_start(since, key, state, initial))
    solve = jax.scipy.linalg.solve_triangular
    written = solve(system, jnp.moveaxis(errors, 0, -2), lower=True, unit_diagonal=True)
    written = jnp.moveaxis(written, -2, 0)
    scores = seen * jnp.einsum("t...k,s...k->ts...", query, key)
    reads = jnp.einsum("ts...,s...v->t...v", scores, written)
    reads += _from_start(since, query, state, initial)
    added = jnp.einsum("s...k,s...v->...kv", seen[-1][..., None] * key, written)
    return _chosen(since[-1], state, initial) + added, reads


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
