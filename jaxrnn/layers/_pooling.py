"""Pooling over time: one vector per sequence, which padding does not affect.

A sequence without any real step, such as one with T = 0, gives zeros and gets zero gradients.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_features, example
from jaxrnn._core.flags import check_flags, check_no_features
from jaxrnn._core.masking import select, zero_where_masked
from jaxrnn._core.mesh import on_any_mesh
from jaxrnn._core.numerics import sum_dtype
from jaxrnn._core.shardings import like_rows


@on_any_mesh(like_rows)
def pool_last(xs: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """The last real step: (T, ..., H) -> (..., H).

    Args:
      xs: a sequence, (T, ..., H).
      mask: bool (T, ...), True = a real step. Padding is not read.

    Returns:
      (..., H); zeros where there is no real step.

    Raises:
      ValueError, TypeError: `xs` is not a floating sequence, or `mask` does not fit it.

    Examples:
      >>> xs = jnp.array([[1.0], [2.0], [5.0]])  # (T, H)
      >>> jaxrnn.pool_last(xs).tolist()
      [5.0]
      >>> jaxrnn.pool_last(xs, jnp.array([True, True, False])).tolist()
      [2.0]
    """
    xs, mask = padded(xs, mask)
    steps = jnp.arange(mask.shape[0], dtype=jnp.int32).reshape(-1, *(1,) * (mask.ndim - 1))
    last = jnp.max(jnp.where(mask, steps, -1), axis=0, keepdims=True)
    return sum_over_time(zero_where_masked(steps == last, xs)).astype(xs.dtype)


@on_any_mesh(like_rows)
def pool_sum(xs: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """The sum over the real steps: (T, ..., H) -> (..., H).

    Args:
      xs: a sequence, (T, ..., H).
      mask: bool (T, ...), True = a real step. Padding is not read.

    Returns:
      (..., H), summed in at least float32; zeros where there is no real step.

    Raises:
      ValueError, TypeError: `xs` is not a floating sequence, or `mask` does not fit it.

    Examples:
      >>> xs = jnp.ones((4, 3, 2))  # (T, B, H)
      >>> jaxrnn.pool_sum(xs, jaxrnn.length_mask(jnp.array([4, 1, 0]), 4)).tolist()
      [[4.0, 4.0], [1.0, 1.0], [0.0, 0.0]]
    """
    xs, mask = padded(xs, mask)
    return sum_over_time(zero_where_masked(mask, xs)).astype(xs.dtype)


@on_any_mesh(like_rows)
def pool_mean(xs: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """The mean over the real steps: (T, ..., H) -> (..., H).

    Args:
      xs: a sequence, (T, ..., H).
      mask: bool (T, ...), True = a real step. Padding is not read.

    Returns:
      (..., H), summed in at least float32; zeros where there is no real step.

    Raises:
      ValueError, TypeError: `xs` is not a floating sequence, or `mask` does not fit it.

    Examples:
      >>> xs = jnp.array([[[1.0], [1.0]], [[3.0], [3.0]]])  # (T, B, H)
      >>> mask = jaxrnn.length_mask(jnp.array([2, 1]), 2)
      >>> jaxrnn.pool_mean(xs, mask).tolist()
      [[2.0], [1.0]]
    """
    xs, mask = padded(xs, mask)
    total = sum_over_time(zero_where_masked(mask, xs))
    count = jnp.maximum(jnp.sum(mask, axis=0), 1).astype(total.dtype)
    return (total / count.reshape(*count.shape, *(1,) * (total.ndim - count.ndim))).astype(xs.dtype)


@on_any_mesh(like_rows)
def pool_max(xs: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """The largest value of each feature over the real steps: (T, ..., H) -> (..., H).

    Args:
      xs: a sequence, (T, ..., H).
      mask: bool (T, ...), True = a real step. Padding is not read.

    Returns:
      (..., H); zeros where there is no real step. Steps that tie for the largest value
      share its gradient.

    Raises:
      ValueError, TypeError: `xs` is not a floating sequence, or `mask` does not fit it.

    Examples:
      >>> xs = jnp.array([[-1.0, 4.0], [-2.0, 3.0], [9.0, 9.0]])  # (T, H)
      >>> jaxrnn.pool_max(xs, jnp.array([True, True, False])).tolist()
      [-1.0, 4.0]
      >>> jaxrnn.pool_max(xs, jnp.zeros(3, bool)).tolist()
      [0.0, 0.0]
    """
    xs, mask = padded(xs, mask)
    largest = jnp.max(select(mask, xs, jnp.full_like(xs, -jnp.inf)), axis=0)
    return zero_where_masked(jnp.any(mask, axis=0), largest)


def padded(xs: jax.Array, mask: Any) -> tuple[jax.Array, jax.Array]:
    """`xs` and `mask`, checked; if T is 0, with one step of padding."""
    x = example(xs)
    check_features(x)
    check_flags("mask", mask, xs)
    check_no_features("mask", mask, x.shape[:-1])
    mask = jnp.ones(xs.shape[0], bool) if mask is None else mask
    if xs.shape[0] == 0:
        xs, mask = jnp.zeros((1, *x.shape), x.dtype), jnp.zeros((1, *mask.shape[1:]), bool)
    return jnp.asarray(xs), jnp.asarray(mask)


def sum_over_time(xs: jax.Array) -> jax.Array:
    """The sum over the first axis, in at least float32."""
    return jnp.sum(xs, axis=0, dtype=sum_dtype(xs.dtype))
