"""The mean over the real steps."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import describe
from jaxrnn._core.masking import zero_where_masked
from jaxrnn._core.mesh import on_any_mesh
from jaxrnn._core.numerics import sum_dtype
from jaxrnn._core.shardings import replicated
from jaxrnn.losses._arguments import check_array, check_mask


@on_any_mesh(replicated)
def masked_mean(values: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """The mean of `values` over the steps where `mask` is True.

    Args:
      values: (T, ...). The mean of integers or bools is a float: it is taken in the default float
        dtype. Otherwise it has the dtype of the values.
      mask: bool, with any of the leading axes of `values`, True = a real step.

    Returns:
      A scalar, 0 without a real step.

    Raises:
      ValueError, TypeError: `values` is not an array, or `mask` does not fit it.

    Examples:
      >>> hits = jnp.array([[True, True], [False, False], [True, False]])  # (T, B)
      >>> mask = jaxrnn.length_mask(jnp.array([3, 1]), 3)
      >>> float(jaxrnn.losses.masked_mean(hits, mask))
      0.75
    """
    check_array("values", values)
    if not (jnp.issubdtype(values.dtype, jnp.number) or values.dtype == jnp.bool_):
        raise TypeError(f"`values` must be numbers or bools, got {describe(values)}.")
    check_mask("mask", mask, values.shape, "`values`")
    values = jnp.asarray(values)
    if not jnp.issubdtype(values.dtype, jnp.inexact):
        values = values.astype(jnp.result_type(float))
    return mean(values, mask).astype(values.dtype)


def mean(values: jax.Array, mask: Any) -> jax.Array:
    """`masked_mean`, of floating values and in the dtype of the sums."""
    wide = sum_dtype(values.dtype)  # a sum in float16 would overflow
    total = zero_where_masked(mask, values).sum(dtype=wide)
    count = size(values.shape, wide) if mask is None else count_real(mask, values.shape, wide)
    return total / jnp.maximum(count, 1).astype(wide)


def count_real(mask: Any, shape: tuple, dtype: Any) -> jax.Array:
    """The number of values of a given shape at the steps where `mask` is True.

    It may be beyond the largest int32, so only the steps of each row are counted in integers.
    """
    steps = jnp.asarray(mask).sum(axis=0, dtype=jnp.uint32)
    return steps.astype(dtype).sum() * size(shape[mask.ndim :], dtype)


def size(shape: tuple, dtype: Any) -> Any:
    """The number of values of a given shape, as a floating number."""
    product = math.prod(shape)
    return float(product) if isinstance(product, int) else jnp.asarray(product, dtype)
