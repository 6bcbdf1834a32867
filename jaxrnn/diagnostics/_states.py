"""Shared by what looks at states (T, ..., H): checks, and their rows around the mean."""

import numbers
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_array, describe
from jaxrnn._core.flags import check_flags
from jaxrnn._core.numerics import sum_dtype


def check_states(name: str, states: Any, mask: Any) -> None:
    """Raises unless `states` are floating (T, ..., H), and `mask` is None or fits them."""
    check_array(name, states)
    if states.ndim < 2 or not jnp.issubdtype(states.dtype, jnp.floating):
        raise TypeError(f"`{name}` must be floating (T, ..., H), got {describe(states)}.")
    check_flags("mask", mask, states, of=name)
    if mask is not None and mask.ndim > states.ndim - 1:
        raise ValueError(f"`mask` must be (T, ...) without features, got {describe(mask)}.")


def check_share(name: str, value: Any, largest: float) -> None:
    """Raises unless `value` is a number above 0, up to `largest`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a number in (0, {largest:g}], got {describe(value)}.")
    if not 0 < value <= largest:
        raise ValueError(f"`{name}` must be in (0, {largest:g}], got {value}.")


def real_rows(states: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Whether each row of the states, flattened to (N, H), is real: bool (N, 1)."""
    shape = states.shape[:-1]
    if mask is None:
        return jnp.ones((states.size // max(states.shape[-1], 1), 1), bool)
    mask = jnp.broadcast_to(mask.reshape(*mask.shape, *(1,) * (len(shape) - mask.ndim)), shape)
    return mask.reshape(-1, 1)


def centered(states: jax.Array, mask: jax.Array | None) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Rows (N, H) minus their mean, 0 where masked; the mean (1, H); and the number of real rows.

    In at least float32.
    """
    wide = sum_dtype(states.dtype)
    is_real = real_rows(states, mask)
    count = jnp.maximum(jnp.sum(is_real.astype(wide)), 1)
    rows = jnp.where(is_real, states.reshape(-1, states.shape[-1]).astype(wide), 0)
    mean = rows.sum(axis=0, keepdims=True) / count
    return jnp.where(is_real, rows - mean, 0), mean, count
