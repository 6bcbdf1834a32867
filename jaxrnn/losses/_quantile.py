"""The loss of quantiles."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.mesh import on_any_mesh
from jaxrnn._core.numerics import sum_dtype, with_axes
from jaxrnn._core.shardings import replicated
from jaxrnn.losses._arguments import (
    check_array,
    check_mask,
    check_same_dtype,
    floating,
    number,
    real_alike,
    widened,
)
from jaxrnn.losses._mean import mean


@on_any_mesh(replicated)
def quantile_loss(
    predictions: jax.Array,
    targets: jax.Array,
    mask: jax.Array | None = None,
    *,
    quantile: float | Sequence[float] | jax.Array,
) -> jax.Array:
    """Pinball loss, minimized by the `quantile` of the target (Koenker and Bassett, 1978).

    With several quantiles, the last axis of the predictions has one of each, and the loss is the
    mean over them, too.

    Args:
      predictions: floating (T, ...), or (T, ..., Q) for Q quantiles.
      targets: floating (T, ...).
      mask: bool, with any of the leading axes of `targets`, True = real.
      quantile: a number in (0, 1), or a list, tuple or array (Q,) of them. It may be traced: then
        NaN stands for one out of range.

    Returns:
      A scalar in the dtype of `predictions`.

    Raises:
      ValueError, TypeError: an argument of another shape or dtype, or `quantile` is not in (0, 1).

    Examples:
      >>> targets = jnp.array([10.0, 10.0])  # (T,)
      >>> low, high = jnp.full(2, 9.0), jnp.full(2, 11.0)
      >>> loss = lambda p: round(float(jaxrnn.losses.quantile_loss(p, targets, quantile=0.9)), 3)
      >>> loss(low), loss(high)  # too low costs more
      (0.9, 0.1)
    """
    if isinstance(quantile, (list, tuple)) or getattr(quantile, "ndim", 0) == 1:
        p, y, dtype, q = _several(predictions, targets, mask, quantile)
    else:
        p, y, dtype = real_alike(mask, predictions=predictions, targets=targets)
        q = _in_range(quantile, p.dtype)
    error = y - p
    return mean(jnp.maximum(q * error, (q - 1) * error), mask).astype(dtype)


def _several(predictions, targets, mask, quantile):
    """Predictions (T, ..., Q), targets (T, ..., 1), their dtype, and quantiles (1, ..., Q)."""
    predictions = floating("predictions", predictions)
    check_array("targets", targets)
    if len(quantile) == 0:
        raise ValueError("`quantile` must hold one number or more, got none.")
    if predictions.shape != (*targets.shape, len(quantile)):
        raise ValueError(
            f"`predictions` must be {(*targets.shape, len(quantile))}: as `targets` "
            f"{tuple(targets.shape)}, with a last axis for the {len(quantile)} quantiles. Got "
            f"{tuple(predictions.shape)}."
        )
    check_same_dtype("targets", targets, "predictions", predictions.dtype)
    check_mask("mask", mask, targets.shape, "`targets`")
    wide = sum_dtype(predictions.dtype)
    q = jnp.stack([jnp.asarray(_in_range(one, wide), wide) for one in quantile])
    p, y = widened(mask, predictions), widened(mask, targets)[..., None]
    return p, y, predictions.dtype, with_axes(p.ndim, q)


def _in_range(quantile: Any, dtype: Any) -> Any:
    hint = "Several are a list, or an array (Q,), of such numbers."
    return number("quantile", quantile, dtype, _is_inside, "a number in (0, 1)", hint)


def _is_inside(quantile):
    return (quantile > 0) & (quantile < 1)
