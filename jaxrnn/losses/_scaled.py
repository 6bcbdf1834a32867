"""The error of forecasts relative to a naive forecast."""

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_size
from jaxrnn._core.masking import over_batch, zero_where_masked
from jaxrnn._core.mesh import on_any_mesh
from jaxrnn._core.shardings import replicated
from jaxrnn.losses._arguments import (
    check_array,
    check_mask,
    check_same_dtype,
    real_alike,
    widened,
)
from jaxrnn.losses._mean import mean


@on_any_mesh(replicated)
def mean_absolute_scaled_error(
    predictions: jax.Array,
    targets: jax.Array,
    history: jax.Array,
    mask: jax.Array | None = None,
    history_mask: jax.Array | None = None,
    *,
    season: int = 1,
) -> jax.Array:
    """Mean absolute scaled error (MASE): below 1 where a forecast beats the naive one.

    The error of each series is its mean absolute error, divided by its scale: the mean absolute
    error of the naive forecast in its history, which repeats the value of a season before. The
    result is the mean over the series that have a real step. A series is one place of the axes
    after time, be they batch or features.

    A scale is zero where a history never changes, or has no two real values a season apart. Then
    the error of the series is infinite, or 0 if its predictions are exact, and has zero gradient.

    Args:
      predictions: floating (T, ...).
      targets: like `predictions`.
      history: (S, ...), the values before the forecast, usually those of the training set; with
        the axes and the dtype of `targets` after time.
      mask: bool, with any of the leading axes of `targets`, True = real.
      history_mask: bool, with any of the leading axes of `history`, True = real.
      season: the number of steps of a season, below S; 1 repeats the last value.

    Returns:
      A scalar in the dtype of `predictions`.

    Raises:
      ValueError, TypeError: an argument of another shape or dtype, `history` is not longer than
        `season`, or `season` is not a positive integer.

    References: Hyndman and Koehler, 2006, "Another look at measures of forecast accuracy".

    Examples:
      >>> history = jnp.array([0.0, 2.0, 4.0, 6.0])  # the naive error is 2 a step
      >>> targets, predictions = jnp.array([8.0, 10.0]), jnp.array([8.0, 11.0])
      >>> float(jaxrnn.losses.mean_absolute_scaled_error(predictions, targets, history))
      0.25
    """
    p, y, dtype = real_alike(mask, predictions=predictions, targets=targets)
    _check_history(history, history_mask, targets, dtype, season)
    past = widened(history_mask, history)
    is_real = over_batch(history_mask, past.shape, True)
    is_pair = is_real[season:] & is_real[:-season]
    is_step = over_batch(mask, p.shape, True)
    error = _mean_of_each(jnp.abs(p - y), is_step)
    scale = _mean_of_each(jnp.abs(past[season:] - past[:-season]), is_pair)
    has_scale = scale != 0
    ratio = error / jnp.where(has_scale, scale, 1)
    ratio = jnp.where(
        has_scale, ratio, jnp.where(error == 0, 0, jnp.where(jnp.isnan(error), jnp.nan, jnp.inf))
    )
    return mean(ratio[None], is_step.any(axis=0)[None]).astype(dtype)


def _mean_of_each(values, is_real):
    """The means over time, (T, ...) -> (...), zero where nothing is real."""
    count = is_real.sum(axis=0, dtype=jnp.uint32).astype(values.dtype)
    return zero_where_masked(is_real, values).sum(axis=0) / jnp.maximum(count, 1)


def _check_history(history, history_mask, targets, dtype, season):
    check_size("season", season)
    check_array("history", history)
    if targets.ndim == 0:
        raise ValueError("`targets` must be (T, ...), got (). They need a time axis.")
    if history.shape[1:] != targets.shape[1:] or len(history.shape) == 0:
        raise ValueError(
            f"`history` must be (S, ...) with the axes of `targets` {tuple(targets.shape)} after "
            f"time, got {tuple(history.shape)}."
        )
    if history.shape[0] <= season:
        raise ValueError(
            f"`history` must have more than `season` = {season} steps, got "
            f"{tuple(history.shape)}. It is time-first: is it transposed?"
        )
    check_same_dtype("history", history, "predictions", dtype)
    check_mask("history_mask", history_mask, history.shape, "`history`")
