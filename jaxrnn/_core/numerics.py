"""How products are summed: in at least float32, whatever the parameters are stored in."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.lowering import on_lone_cpu


def matmul(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The product ``x @ kernel``, summed in at least float32.

    Args:
      x: ``(..., I)``.
      kernel: ``(I, N)``, of the same dtype.

    Returns:
      ``(..., N)``; float32 for a bfloat16 or float16 kernel, otherwise of the kernel's dtype.

    Examples:
      >>> x = jnp.full((2, 300), 1, jnp.bfloat16)  # (B, I)
      >>> kernel = jnp.full((300, 4), 1, jnp.bfloat16)
      >>> y = jaxrnn.authoring.matmul(x, kernel)
      >>> y.dtype, float(y[0, 0])
      (dtype('float32'), 300.0)
    """
    if x.ndim < 2:
        return _dot_of_rows(x, kernel)
    if x.ndim == 2:
        return _dot(x, kernel)
    # For the gradient of the kernel of a three-dimensional product, XLA:CPU copies an operand to
    # transpose it.
    return on_lone_cpu(_dot_of_rows, _dot)(x, kernel)


def _dot(x, kernel):
    return jnp.dot(x, kernel, preferred_element_type=sum_dtype(kernel.dtype))


def _dot_of_rows(x, kernel):
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    return _dot(rows, kernel).reshape(*x.shape[:-1], kernel.shape[-1])


def affine(x: jax.Array, kernel: jax.Array, bias: jax.Array | None) -> jax.Array:
    """``x @ kernel + bias``, summed like `matmul`.

    Args:
      x: ``(..., I)``.
      kernel: ``(I, N)``, of the same dtype.
      bias: ``(N,)``, or None, which adds nothing.

    Returns:
      ``(..., N)``, in the dtype of the sums.

    Examples:
      >>> x, kernel = jnp.ones((7, 3, 5)), jnp.ones((5, 4))
      >>> jaxrnn.authoring.affine(x, kernel, jnp.arange(4.0))[0, 0].tolist()
      [5.0, 6.0, 7.0, 8.0]
      >>> jaxrnn.authoring.affine(x, kernel, None).shape
      (7, 3, 4)
    """
    product = matmul(x, kernel)
    if bias is None or x.ndim <= 2:
        return add_bias(product, bias)
    return _add_to_many(product, bias.astype(product.dtype))


def add_bias(rows: jax.Array, bias: jax.Array | None) -> jax.Array:
    """Rows (..., N) plus a bias (N,), in the dtype of the rows. A bias of None adds nothing.

    Examples:
      >>> rows = jnp.zeros((2, 3))
      >>> jaxrnn.authoring.add_bias(rows, jnp.arange(3, dtype=jnp.bfloat16)).dtype
      dtype('float32')
      >>> jaxrnn.authoring.add_bias(rows, None) is rows
      True
    """
    return rows if bias is None else rows + over_rows(bias, rows)


def over_rows(vector: jax.Array, rows: jax.Array) -> jax.Array:
    """A vector (N,) beside rows (..., N): with as many axes, and in their dtype.

    Examples:
      >>> gain = jnp.ones(4, jnp.bfloat16)  # (N,)
      >>> aligned = jaxrnn.authoring.over_rows(gain, jnp.zeros((7, 3, 4)))
      >>> aligned.shape, aligned.dtype
      ((1, 1, 4), dtype('float32'))
    """
    return with_axes(rows.ndim, vector.astype(rows.dtype))


def with_axes(ndim: int, x: jax.Array) -> jax.Array:
    """`x` with leading axes of size 1, `ndim` in all: what broadcasting would add by itself."""
    return x.reshape(*(1,) * (ndim - x.ndim), *x.shape)


@jax.custom_jvp
def _add_to_many(rows, bias):
    return add_bias(rows, bias)


@_add_to_many.defjvp
def _add_to_many_jvp(primals, tangents):
    rows, bias = primals
    drows, dbias = tangents
    by_product = functools.partial(_spread_by_product, rows.shape)
    plainly = functools.partial(_spread, rows.shape)
    return _add_to_many(rows, bias), drows + on_lone_cpu(by_product, plainly)(dbias)


def _spread(shape, dbias):
    return jnp.broadcast_to(dbias, shape)


def _spread_by_product(shape, dbias):
    """The gradient of a bias is a sum over the rows, which XLA:CPU is slow at where there are many.

    As a product with ones it is fast, if it has a few rows of its own: all but one are zeros.
    """
    few = 8
    wide = jnp.zeros((few, *dbias.shape), dbias.dtype).at[0].set(dbias)
    return _dot_of_rows(jnp.ones((*shape[:-1], few), dbias.dtype), wide)


def sum_dtype(dtype: Any) -> jnp.dtype:
    """The dtype in which products of `dtype` are summed: float32, or `dtype` itself if it is wider.

    Examples:
      >>> [str(jaxrnn.authoring.sum_dtype(d)) for d in ("bfloat16", "float32", "float64")]
      ['float32', 'float32', 'float64']
    """
    dtype = jnp.dtype(dtype)
    return dtype if dtype.itemsize >= 4 else jnp.dtype(jnp.float32)


def is_floating(leaf: jax.Array) -> bool:
    """Whether a leaf of a pytree has a tangent, as a counter, a flag or a random key has none."""
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def wide_update(update: Callable) -> Callable:
    """Runs a state equation in the dtype of the sums, and narrows the carry that it returns.

    Args:
      update: ``(params, carry, u, v) -> carry``, written for one dtype; it may take options.

    Returns:
      The same function for a carry in a narrower dtype than `u` and `v`: the carry is widened
      before, and the new one has the dtype of the old one. Where the dtypes agree, as in float32
      and float64, nothing is cast.

    Examples:
      >>> @jaxrnn.authoring.wide_update
      ... def update(params, carry, u, v):
      ...     assert carry.dtype == u.dtype == jnp.float32  # widened
      ...     return jnp.tanh(u + v)
      >>> u = v = jnp.zeros(4)  # sums in float32
      >>> update(None, jnp.zeros(4, jnp.bfloat16), u, v).dtype
      dtype(bfloat16)
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
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


@jax.custom_jvp
def tanh(x: jax.Array) -> jax.Array:
    """`jnp.tanh`, with a derivative that keeps one array for each step instead of two.

    On a CPU a large cell trains a few percent faster with it.

    Args:
      x: of any shape.

    Returns:
      The values of `jnp.tanh`.

    Examples:
      >>> slope = jax.grad(jaxrnn.authoring.tanh)
      >>> float(slope(0.0)), float(slope(100.0))
      (1.0, 0.0)
    """
    return jnp.tanh(x)


@tanh.defjvp
def _tanh_jvp(primals, tangents):
    y, (dx,) = tanh(*primals), tangents
    return y, (1 + y) * (1 - y) * dx  # 1 - y**2 would lose the digits of a small 1 - y


@jax.custom_jvp
def softplus(x: jax.Array) -> jax.Array:
    """`jax.nn.softplus` without its special cases, which take long to compile.

    Args:
      x: of any shape.

    Returns:
      log(1 + exp(x)), also where exp(x) overflows.
    """
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@softplus.defjvp
def _softplus_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    return softplus(x), jax.nn.sigmoid(x) * dx
