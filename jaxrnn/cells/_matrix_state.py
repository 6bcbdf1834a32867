"""State equations of cells whose state is a matrix for each head, written and read by key.

Engines that run such cells in parallel over time recognize them by these functions, together with
``recur=nothing`` and an output that is a `Readout`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.numerics import wide_update
from jaxrnn._core.types import Carry, Params


class MatrixCarry(NamedTuple):
    """The carry of a cell with a matrix for each of N heads."""

    state: jax.Array  # (..., N, K, V)


class StabilizedCarry(NamedTuple):
    """A matrix and a vector for each of N heads, both divided by exp(log_scale)."""

    state: jax.Array  # (..., N, K, V)
    normalizer: jax.Array  # (..., N, K)
    log_scale: jax.Array  # (..., N)


class Access(NamedTuple):
    """The projection of such a cell: what an input writes to the state, and what it reads.

    Attributes:
      query: (..., N, K).
      key: (..., N, K).
      value: (..., N, V).
      gate: what the state equation asks for.
      extra: anything; only the output reads it.
    """

    query: jax.Array
    key: jax.Array
    value: jax.Array
    gate: Any
    extra: Any = ()


class LogGates(NamedTuple):
    """The gate of `stabilized_update`, as logarithms."""

    log_input: jax.Array  # (..., N)
    log_forget: jax.Array  # (..., N)


class Readout(NamedTuple):
    """The `output` of such a cell, in two parts: an engine may make the first one another way.

    Attributes:
      read: ``(carry, query) -> r``, `recall` or `recall_normalized`.
      finish: ``(params, r, extra) -> y``.
    """

    read: Callable[[Carry, jax.Array], Any]
    finish: Callable[[Params, Any, Any], jax.Array]

    def __call__(self, params, carry, u):
        return self.finish(params, self.read(carry, u.query), u.extra)


@wide_update
def decaying_update(params: Params, carry: MatrixCarry, u: Access, v: tuple) -> MatrixCarry:
    """S' = exp(gate) S + k vᵀ.

    Args:
      params: not read.
      carry: S.
      u: its gate is the logarithm of the decay, (..., N, K) or (..., N, 1).
      v: (), from ``recur=nothing``.

    References: Yang et al., 2024, "Gated linear attention transformers with hardware-efficient
    training".

    Examples:
      >>> k, v = jnp.array([[1.0, 0.0]]), jnp.array([[5.0, 7.0]])  # one head: N = 1
      >>> u = jaxrnn.authoring.Access(query=k, key=k, value=v, gate=jnp.log(jnp.array([[0.5]])))
      >>> carry = jaxrnn.authoring.MatrixCarry(jnp.full((1, 2, 2), 4.0))
      >>> jaxrnn.authoring.decaying_update(None, carry, u, ()).state.tolist()
      [[[7.0, 9.0], [2.0, 2.0]]]
    """
    return MatrixCarry(jnp.exp(u.gate)[..., None] * carry.state + _outer(u.key, u.value))


@wide_update
def delta_update(params: Params, carry: MatrixCarry, u: Access, v: tuple) -> MatrixCarry:
    """S' = S + gate k (v - Sᵀ k)ᵀ: what the state holds at k is moved toward v (the delta rule).

    Args:
      params: not read.
      carry: S.
      u: its gate is the rate, (..., N, 1), from 0 to 1.
      v: (), from ``recur=nothing``.

    References: Schlag, Irie and Schmidhuber, 2021, "Linear transformers are secretly fast weight
    programmers".

    Examples:
      >>> k, v = jnp.array([[1.0, 0.0]]), jnp.array([[5.0, 7.0]])  # one head: N = 1
      >>> u = jaxrnn.authoring.Access(query=k, key=k, value=v, gate=jnp.ones((1, 1)))
      >>> carry = jaxrnn.authoring.MatrixCarry(jnp.full((1, 2, 2), 4.0))
      >>> jaxrnn.authoring.delta_update(None, carry, u, ()).state.tolist()  # at k, v replaces 4
      [[[5.0, 7.0], [4.0, 4.0]]]
    """
    error = u.value - _weighted(u.key, carry.state)
    return MatrixCarry(carry.state + _outer(u.gate * u.key, error))


@wide_update
def stabilized_update(
    params: Params, carry: StabilizedCarry, u: Access, v: tuple
) -> StabilizedCarry:
    """S' = exp(f) S + exp(i) k vᵀ and n' = exp(f) n + exp(i) k, however large these get.

    Args:
      params: not read.
      carry: S, n, and the logarithm of what both are divided by.
      u: its gate is `LogGates`, i and f.
      v: (), from ``recur=nothing``.
    """
    log_input, log_forget = u.gate
    scale = jnp.maximum(log_forget + carry.log_scale, log_input)
    keep = jnp.exp(log_forget + carry.log_scale - scale)[..., None]
    key = jnp.exp(log_input - scale)[..., None] * u.key
    state = keep[..., None] * carry.state + _outer(key, u.value)
    return StabilizedCarry(state, keep * carry.normalizer + key, scale)


def recall(carry: MatrixCarry, query: jax.Array) -> jax.Array:
    """What a state holds at the queries: Sᵀ q, (..., N, V).

    Args:
      carry: S.
      query: q, (..., N, K).

    Examples:
      >>> carry = jaxrnn.authoring.MatrixCarry(jnp.array([[[5.0, 7.0], [4.0, 4.0]]]))
      >>> jaxrnn.authoring.recall(carry, jnp.array([[1.0, 0.0]])).tolist()
      [[5.0, 7.0]]
      >>> readout = jaxrnn.authoring.Readout(jaxrnn.authoring.recall, lambda params, r, extra: r)
    """
    return _weighted(query, carry.state.astype(query.dtype))


def recall_normalized(carry: StabilizedCarry, query: jax.Array) -> jax.Array:
    """Sᵀ q / max(|n·q|, 1), both as they are before they are divided by exp(log_scale).

    Args:
      carry: S, n and log_scale.
      query: q, (..., N, K).
    """
    state, normalizer, log_scale = (leaf.astype(query.dtype) for leaf in carry)
    return normalized(_weighted(query, state), (query * normalizer).sum(-1), log_scale)


def normalized(recalled: jax.Array, weight: jax.Array, log_scale: jax.Array) -> jax.Array:
    """What is recalled (..., N, V), divided by its weight (..., N), which is 1 at least."""
    return recalled / jnp.maximum(jnp.abs(weight), jnp.exp(-log_scale))[..., None]


def _outer(key, value):
    return key[..., :, None] * value[..., None, :]


def _weighted(weights, matrix):
    return (weights[..., :, None] * matrix).sum(-2)
