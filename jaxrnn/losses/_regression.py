"""Losses of regression."""

import jax
import jax.numpy as jnp

from jaxrnn._core.mesh import on_any_mesh
from jaxrnn._core.shardings import replicated
from jaxrnn.losses._arguments import number, real_alike
from jaxrnn.losses._mean import mean


@on_any_mesh(replicated)
def mean_squared_error(
    predictions: jax.Array, targets: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """The mean of (prediction - target)².

    Args:
      predictions: floating (T, ...).
      targets: like `predictions`.
      mask: bool, with any of the leading axes of `targets`, True = real.

    Returns:
      A scalar in the dtype of `predictions`.

    Raises:
      ValueError, TypeError: an argument of another shape or dtype.

    Examples:
      >>> predictions, targets = jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 4.0, jnp.nan])
      >>> mask = jnp.array([True, True, False])
      >>> float(jaxrnn.losses.mean_squared_error(predictions, targets, mask))
      2.0
    """
    p, y, dtype = real_alike(mask, predictions=predictions, targets=targets)
    return mean((p - y) ** 2, mask).astype(dtype)


@on_any_mesh(replicated)
def mean_absolute_error(
    predictions: jax.Array, targets: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """The mean of |prediction - target|.

    Args:
      predictions: floating (T, ...).
      targets: like `predictions`.
      mask: bool, with any of the leading axes of `targets`, True = real.

    Returns:
      A scalar in the dtype of `predictions`.

    Raises:
      ValueError, TypeError: an argument of another shape or dtype.

    Examples:
      >>> predictions, targets = jnp.zeros((7, 3, 2)), jnp.full((7, 3, 2), -3.0)
      >>> float(jaxrnn.losses.mean_absolute_error(predictions, targets))
      3.0
      >>> jaxrnn.losses.mean_absolute_error(predictions, targets[..., 0])
      Traceback (most recent call last):
      ValueError: `targets` must have the shape of `predictions`, (7, 3, 2), got (7, 3)...
    """
    p, y, dtype = real_alike(mask, predictions=predictions, targets=targets)
    return mean(jnp.abs(p - y), mask).astype(dtype)


@on_any_mesh(replicated)
def huber(
    predictions: jax.Array,
    targets: jax.Array,
    mask: jax.Array | None = None,
    *,
    delta: float = 1.0,
) -> jax.Array:
    """Huber loss: half the squared error up to `delta`, linear beyond (Huber, 1964).

    Args:
      predictions: floating (T, ...).
      targets: like `predictions`.
      mask: bool, with any of the leading axes of `targets`, True = real.
      delta: the error at which the loss becomes linear; positive. It may be traced: then NaN stands
        for one that is not positive.

    Returns:
      A scalar in the dtype of `predictions`.

    Raises:
      ValueError, TypeError: an argument of another shape or dtype, or `delta` is not positive.

    Examples:
      >>> errors = jnp.array([0.5, 4.0])
      >>> [float(jaxrnn.losses.huber(e, jnp.zeros_like(e))) for e in errors]
      [0.125, 3.5]
      >>> float(jaxrnn.losses.huber(errors[1], jnp.float32(0.0), delta=2.0))
      6.0
    """
    p, y, dtype = real_alike(mask, predictions=predictions, targets=targets)
    delta = number("delta", delta, p.dtype, lambda d: d > 0, "a positive number")
    error = jnp.abs(p - y)
    # The gradient of `minimum` would be 0 times infinity at an infinite error.
    inside = jnp.where(error < delta, error, delta)
    return mean(inside * (error - inside / 2), mask).astype(dtype)
