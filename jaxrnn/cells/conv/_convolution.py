"""Shared by convolutional cells: a convolution that keeps the size of a picture."""

import math
import numbers
from collections.abc import Callable
from typing import Any

import jax

from jaxrnn._core.checks import check_features, check_size, describe
from jaxrnn._core.numerics import add_bias, sum_dtype
from jaxrnn._core.types import Carry, Params


def check_kernel_size(kernel_size: Any) -> None:
    """Raises unless `kernel_size` is a tuple of 1 to 3 positive integers."""
    if not isinstance(kernel_size, tuple) or not 1 <= len(kernel_size) <= 3:
        raise TypeError(
            "`kernel_size` must be a tuple of 1 to 3 integers, one for each spatial axis, such as "
            f"(3, 3) for pictures, got {kernel_size!r}."
        )
    for size in kernel_size:
        check_size("kernel_size", size)


def for_each_axis(dilation: Any, num_axes: int) -> tuple[int, ...]:
    """`dilation` as one integer for each spatial axis; raises unless it is that, or one for all."""
    if isinstance(dilation, numbers.Integral):
        dilation = (dilation,) * num_axes
    if not isinstance(dilation, tuple) or len(dilation) != num_axes:
        raise TypeError(
            "`dilation` must be a positive integer, or a tuple with one for each of the "
            f"{num_axes} axes of `kernel_size`, got {dilation!r}."
        )
    for size in dilation:
        check_size("dilation", size)
    return dilation


def check_picture(x: Any, kernel_size: tuple[int, ...]) -> None:
    """Raises unless `x` is floating, (..., *S, C), with as many spatial axes as the kernel."""
    check_features(x)
    if x.ndim <= len(kernel_size):
        raise ValueError(
            f"`x` must have {len(kernel_size)} spatial axes before its channels, as the "
            f"`kernel_size` {kernel_size} has, got {describe(x)}. A sequence is (T, ..., *space, "
            "C): channels last."
        )


def convolve(x: jax.Array, kernel: jax.Array, dilation: tuple[int, ...] | None = None) -> jax.Array:
    """The convolution of pictures with a kernel, padded with zeros to keep their size.

        y_p = Σ_k W_k x_{p + k - ⌊(K - 1) / 2⌋}

    Args:
      x: ``(..., *S, C)``, with any number of batch axes.
      kernel: ``(*K, C, N)``, of the same dtype.
      dilation: the step between the elements of the kernel along each axis; None means 1.

    Returns:
      ``(..., *S, N)``, summed in at least float32, and in the dtype of the sums.

    Examples:
      >>> x = jnp.arange(5.0)[None, :, None]  # (B, *S, C): one row of five pixels
      >>> jaxrnn.authoring.convolve(x, jnp.ones((3, 1, 1)))[0, :, 0].tolist()
      [1.0, 3.0, 6.0, 9.0, 7.0]
      >>> jaxrnn.authoring.convolve(x, jnp.ones((3, 1, 1)), dilation=(2,))[0, :, 0].tolist()
      [2.0, 4.0, 6.0, 4.0, 6.0]
    """
    num_axes = kernel.ndim - 2
    batch, picture = x.shape[: x.ndim - num_axes - 1], x.shape[x.ndim - num_axes - 1 :]
    dilation = (1,) * num_axes if dilation is None else dilation
    added = [(size - 1) * step for size, step in zip(kernel.shape, dilation, strict=False)]
    space = "DHW"[-num_axes:]
    # Cast before, since with `preferred_element_type` the derivative of a narrow convolution would
    # convolve two dtypes, which not every platform can.
    wide = sum_dtype(kernel.dtype)
    y = jax.lax.conv_general_dilated(
        x.reshape(math.prod(batch), *picture).astype(wide),
        kernel.astype(wide),
        window_strides=(1,) * num_axes,
        padding=[(total // 2, total - total // 2) for total in added],
        rhs_dilation=dilation,
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
    )
    return y.reshape(*batch, *y.shape[1:])


def projection(dilation: tuple[int, ...]) -> Callable[[Params, jax.Array], jax.Array]:
    """W * x + b, the `project` of a convolutional cell: (..., *S, C) -> (..., *S, G*F)."""

    def project(params, x):
        *kernel_size, channels, _ = params.kernel.shape
        check_picture(x, tuple(kernel_size))
        check_features(x, channels, params.kernel.dtype)
        return add_bias(convolve(x, params.kernel, dilation), params.bias)

    return project


def recur(params: Params, carry: Carry) -> jax.Array:
    """U * h, the `recur` of a convolutional cell: (..., *S, F) -> (..., *S, G*F).

    Args:
      params: with `recurrent_kernel` (*K, F, G*F).
      carry: with `h` (..., *S, F).
    """
    return convolve(carry.h, params.recurrent_kernel)
