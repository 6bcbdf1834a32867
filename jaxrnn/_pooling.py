"""Pooling over time: one vector for a whole sequence, in which padding has no part.

Everywhere a sequence without any real step, T = 0 among them, gives zeros, and gets zero gradients.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._checks import (
    check_features,
    check_flags,
    check_flags_fit,
    check_key,
    check_params,
    check_size,
    example,
)
from jaxrnn._initializers import Initializer, glorot_uniform, in_float32
from jaxrnn._masking import blank, select
from jaxrnn._precision import affine, matmul, sum_dtype


def pool_last(xs: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """The last real step: (T, ..., H) -> (..., H).

    Args:
      xs: a sequence, (T, ..., H).
      mask: bool (T, ...), True = a real step. Nothing else is read.

    Returns:
      (..., H); zeros where there is no real step.

    Raises:
      ValueError, TypeError: `xs` is no floating sequence, or `mask` does not fit it.
    """
    xs, mask = _padded(xs, mask)
    steps = jnp.arange(mask.shape[0], dtype=jnp.int32).reshape(-1, *(1,) * (mask.ndim - 1))
    last = jnp.max(jnp.where(mask, steps, -1), axis=0)
    return _sum(blank(steps == last, xs)).astype(xs.dtype)


def pool_sum(xs: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """The sum over the real steps: (T, ..., H) -> (..., H).

    Args:
      xs: a sequence, (T, ..., H).
      mask: bool (T, ...), True = a real step. Nothing else is read.

    Returns:
      (..., H), summed in at least float32; zeros where there is no real step.

    Raises:
      ValueError, TypeError: `xs` is no floating sequence, or `mask` does not fit it.
    """
    xs, mask = _padded(xs, mask)
    return _sum(blank(mask, xs)).astype(xs.dtype)


def pool_mean(xs: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """The mean over the real steps: (T, ..., H) -> (..., H).

    Args:
      xs: a sequence, (T, ..., H).
      mask: bool (T, ...), True = a real step. Nothing else is read.

    Returns:
      (..., H), summed in at least float32; zeros where there is no real step.

    Raises:
      ValueError, TypeError: `xs` is no floating sequence, or `mask` does not fit it.
    """
    xs, mask = _padded(xs, mask)
    total = _sum(blank(mask, xs))
    count = jnp.maximum(jnp.sum(mask, axis=0), 1).astype(total.dtype)
    return (total / count.reshape(*count.shape, *(1,) * (total.ndim - count.ndim))).astype(xs.dtype)


def pool_max(xs: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """The largest value of each feature over the real steps: (T, ..., H) -> (..., H).

    Args:
      xs: a sequence, (T, ..., H).
      mask: bool (T, ...), True = a real step. Nothing else is read.

    Returns:
      (..., H); zeros where there is no real step. Steps that share the largest value share its
      gradient.

    Raises:
      ValueError, TypeError: `xs` is no floating sequence, or `mask` does not fit it.
    """
    xs, mask = _padded(xs, mask)
    largest = jnp.max(select(mask, xs, jnp.full_like(xs, -jnp.inf)), axis=0)
    return blank(jnp.any(mask, axis=0), largest)


class Pool(NamedTuple):
    """Pooling over time with parameters.

    Attributes:
      init: ``(key, xs) -> params``. ``xs`` is an example sequence (T, ..., H), or only its shape
        and dtype.
      apply: ``(params, xs, mask=None) -> (..., H)``.
    """

    init: Callable[[Any, Any], Any]
    apply: Callable[..., jax.Array]


class AttentionPoolParams(NamedTuple):
    kernel: jax.Array  # (H, A)
    bias: jax.Array  # (A,)
    query: jax.Array  # (A,)


def attention_pool(
    size: int,
    *,
    kernel_init: Initializer = glorot_uniform(),
    bias_init: Initializer = jax.nn.initializers.zeros,
    query_init: Initializer = in_float32(jax.nn.initializers.normal(0.1)),
) -> Pool:
    """A mean over the real steps, with weights that are learned.

        s_t = q · tanh(W x_t + b)
        y = Σ_t softmax(s)_t x_t

    Args:
      size: A, of the space in which steps are compared with the query q.
      kernel_init: draws `kernel` (H, A).
      bias_init: draws `bias` (A,).
      query_init: draws `query` (A,).

    Returns:
      A `Pool` with parameters `AttentionPoolParams`: (T, ..., H) -> (..., H), summed in at least
      float32. Padding is never read; a sequence without any real step gives zeros.

    Raises:
      ValueError, TypeError: `size` is not a positive integer.

    References: Yang et al., 2016, "Hierarchical attention networks for document classification".
    """
    check_size("size", size)

    def init(key, xs):
        check_key(key)
        x = example(xs)
        check_features(x)
        kernel_key, bias_key, query_key = jax.random.split(key, 3)
        return AttentionPoolParams(
            kernel_init(kernel_key, (x.shape[-1], size), x.dtype),
            bias_init(bias_key, (size,), x.dtype),
            query_init(query_key, (size,), x.dtype),
        )

    def apply(params, xs, mask=None):
        check_params(params, AttentionPoolParams)
        check_features(example(xs), params.kernel.shape[0], params.kernel.dtype)
        xs, mask = _padded(xs, mask)
        xs = blank(mask, xs)
        hidden = jnp.tanh(affine(xs, params.kernel, params.bias)).astype(xs.dtype)
        scores = matmul(hidden, params.query[:, None])
        # A finite lowest score, by which a sequence without real steps attends evenly to zeros.
        scores = select(mask, scores, jnp.full_like(scores, jnp.finfo(scores.dtype).min))
        weights = jax.nn.softmax(scores, axis=0)
        return _sum(weights * xs.astype(weights.dtype)).astype(xs.dtype)

    return Pool(init, apply)


def _padded(xs, mask):
    """`xs` and `mask`, checked, with at least one step: of padding where there is none."""
    x = example(xs)
    check_features(x)
    check_flags("mask", mask, xs)
    check_flags_fit("mask", mask, jax.ShapeDtypeStruct(x.shape[:-1], x.dtype))
    mask = jnp.ones(xs.shape[0], bool) if mask is None else mask
    if xs.shape[0] == 0:
        xs, mask = jnp.zeros((1, *x.shape), x.dtype), jnp.zeros((1, *mask.shape[1:]), bool)
    return jnp.asarray(xs), jnp.asarray(mask)


def _sum(xs):
    return jnp.sum(xs, axis=0, dtype=sum_dtype(xs.dtype))
