"""Checks of what losses are given, by name."""

import numbers
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import describe, dtype_of
from jaxrnn._core.flags import check_flags
from jaxrnn._core.masking import zero_where_masked
from jaxrnn._core.numerics import sum_dtype
from jaxrnn._core.ranges import known


def check_array(name: str, x: Any) -> None:
    """Raises unless `x` is an array."""
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        raise TypeError(
            f"`{name}` must be an array (T, ...), got {describe(x)}. Turn lists of numbers into "
            "one array with `jnp.array`."
        )


def floating(name: str, x: Any) -> jax.Array:
    """`x` as an array of JAX; raises unless it is one of real floating numbers."""
    check_array(name, x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"`{name}` must be real and floating, got {describe(x)}. Nothing is promoted silently: "
            "cast with `.astype(jnp.float32)`."
        )
    return jnp.asarray(x)


def check_mask(name: str, flags: Any, shape: tuple, of: str) -> None:
    """Raises unless `flags` is bool and has the leading axes of `shape`, the shape of `of`."""
    check_flags(name, flags, ())
    if flags is not None and (flags.ndim == 0 or flags.shape != shape[: flags.ndim]):
        raise ValueError(
            f"`{name}` must match the leading axes (T, ...) of {of} {tuple(shape)}, got "
            f"{tuple(flags.shape)}. It is time-first; is it transposed, or of another batch?"
        )


def real_alike(mask: Any, **arrays: Any) -> tuple:
    """Arrays in the dtype of the sums, zero where `mask` is False, and the dtype that they had.

    Raises unless they are floating and of one shape and dtype, and `mask` fits them.
    """
    (name, first), *others = arrays.items()
    first = floating(name, first)
    for other, x in others:
        check_array(other, x)
        check_same_shape(other, x, name, first.shape)
        check_same_dtype(other, x, name, first.dtype)
    check_mask("mask", mask, first.shape, f"`{others[-1][0]}`")
    return *(widened(mask, x) for x in arrays.values()), first.dtype


def widened(mask: Any, x: Any) -> jax.Array:
    """`x` in the dtype of its sums, zero where `mask` is False."""
    return zero_where_masked(mask, jnp.asarray(x, sum_dtype(dtype_of(x))))


def check_same_shape(name: str, x: Any, other: str, shape: tuple) -> None:
    """Raises unless `x` has `shape`, the shape of `other`."""
    if x.shape == shape:
        return
    is_wider = (*x.shape, 1) == shape or (*shape, 1) == x.shape
    hint = " A last axis of size 1 is not broadcast: index it away." if is_wider else ""
    raise ValueError(
        f"`{name}` must have the shape of `{other}`, {tuple(shape)}, got {tuple(x.shape)}.{hint}"
    )


def check_same_dtype(name: str, x: Any, other: str, dtype: Any) -> None:
    """Raises unless `x` has `dtype`, the dtype of `other`."""
    if dtype_of(x) != dtype:
        raise TypeError(
            f"`{name}` must be {dtype}, as `{other}` is, got {describe(x)}. "
            f"Nothing is promoted silently: cast with `{name}.astype({other}.dtype)`."
        )


def number(
    name: str,
    value: Any,
    dtype: Any,
    is_allowed: Callable[[Any], Any],
    expected: str,
    hint: str = "For several numbers, use `jax.vmap`.",
) -> Any:
    """An option as a float, or, if it is an array, as a scalar of `dtype`.

    Raises unless it is one real number that is allowed. A traced number that is not becomes NaN.
    """
    is_array = hasattr(value, "dtype") and hasattr(value, "shape") and value.shape == ()
    is_array = is_array and jnp.issubdtype(value.dtype, jnp.number)
    is_array = is_array and not jnp.issubdtype(value.dtype, jnp.complexfloating)
    if isinstance(value, bool) or not (is_array or isinstance(value, numbers.Real)):
        raise TypeError(f"`{name}` must be {expected}, got {describe(value)}. {hint}")
    concrete = known(value) if is_array else value
    if concrete is not None and not is_allowed(float(concrete)):
        raise ValueError(f"`{name}` must be {expected}, got {concrete}.")
    if concrete is not None:
        return float(concrete)
    value = jnp.asarray(value, dtype)
    return jnp.where(is_allowed(value), value, jnp.nan)
