"""How products are summed: in at least float32, whatever the parameters are stored in."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp


def matmul(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The product ``x @ kernel``, summed in at least float32.

    Args:
      x: ``(..., I)``.
      kernel: ``(I, N)``, of the same dtype.

    Returns:
      ``(..., N)``; float32 for a bfloat16 or float16 kernel, otherwise of the kernel's dtype.
    """
    rows = _merge_leading_axes(x)
    product = jnp.dot(rows, kernel, preferred_element_type=sum_dtype(kernel.dtype))
    return product.reshape(*x.shape[:-1], kernel.shape[-1])


def _merge_leading_axes(x):
    """``(..., I) -> (N, I)`` where that makes products faster: on a lone CPU.

    For the gradient of the kernel of a three-dimensional product, XLA:CPU copies an operand to
    transpose it. With several devices the axes stay apart: to merge time with a batch that is
    sharded would gather the batch on every device.
    """
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1]) if _is_lone_cpu() else x


def affine(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """``x @ kernel + bias``, as `matmul` has it: ``(..., I), (I, N), (N,) -> (..., N)``."""
    return _add_bias(matmul(x, kernel), bias.astype(sum_dtype(kernel.dtype)))


@jax.custom_jvp
def _add_bias(rows, bias):
    return rows + bias


@_add_bias.defjvp
def _add_bias_jvp(primals, tangents):
    """The gradient of a bias is a sum over the rows, which XLA:CPU is slow at where they are many.

    As a product with ones it is not, if it has a few rows of its own: all but one of zeros.
    """
    rows, bias = primals
    drows, dbias = tangents
    if rows.ndim > 2 and _is_lone_cpu():
        few = 8
        wide = jnp.zeros((few, *dbias.shape), dbias.dtype).at[0].set(dbias)
        dbias = matmul(jnp.ones((*rows.shape[:-1], few), dbias.dtype), wide)
    return _add_bias(rows, bias), drows + dbias


def _is_lone_cpu():
    return jax.device_count() == 1 and jax.default_backend() == "cpu"


def sum_dtype(dtype) -> jnp.dtype:
    """The dtype in which products of `dtype` are summed."""
    dtype = jnp.dtype(dtype)
    return dtype if dtype.itemsize >= 4 else jnp.dtype(jnp.float32)


def is_floating(leaf: jax.Array) -> bool:
    """Whether a leaf of a pytree has a tangent, as a counter, a flag or a random key has none."""
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def wide_update(update: Callable) -> Callable:
    """Runs the gates of a cell in the dtype of the sums, and narrows what they return.

    Args:
      update: ``(params, carry, u, v) -> (carry, y)``, written for one dtype; it may take options.

    Returns:
      The same function for a carry in a narrower dtype than `u` and `v`: it is widened before, and
      the new carry and y are returned in the dtype of the old carry. Where the dtypes agree, as in
      float32 and float64, nothing is cast.
    """

    @functools.wraps(update)
    def widened(params, carry, u, v, **options):
        narrow = jax.tree.leaves(carry)[0].dtype
        wide = sum_dtype(narrow)
        if wide == narrow:
            return update(params, carry, u, v, **options)
        return _cast(update(params, _cast(carry, wide), u, v, **options), narrow)

    return widened


def _cast(tree, dtype):
    """An array that comes twice, as an output that is a leaf of the carry, is cast once."""
    done = {id(leaf): leaf.astype(dtype) for leaf in jax.tree.leaves(tree)}
    return jax.tree.map(lambda leaf: done[id(leaf)], tree)
