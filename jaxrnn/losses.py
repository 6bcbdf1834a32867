"""Losses and metrics for padded sequences: means over the real steps, whatever the padding holds.

Predictions are (T, ..., K) or (T, ...). `mask` is bool (T, ...), with the leading axes of the
targets; None means that every step is real. The result is a scalar: the mean over the real steps,
and over any axes that the mask does not have. Without a real step the mean is 0, and so is its
gradient.
"""

import math

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_flags, check_rate, describe
from jaxrnn._core.masking import over_batch, zero_where_masked
from jaxrnn._core.numerics import sum_dtype

__all__ = [
    "accuracy",
    "activation_penalty",
    "binary_cross_entropy",
    "cross_entropy",
    "huber",
    "masked_mean",
    "mean_absolute_error",
    "mean_squared_error",
    "perplexity",
    "quantile_loss",
    "temporal_activation_penalty",
]


def __dir__():
    return __all__


def masked_mean(values: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """The mean of `values` (T, ...) over the steps where `mask` is True."""
    check_flags("mask", mask, values)
    wide = sum_dtype(values.dtype)  # a sum in float16 would overflow
    if mask is None:
        return (values.sum(dtype=wide) / max(values.size, 1)).astype(values.dtype)
    count = mask.sum() * math.prod(values.shape[mask.ndim :])
    total = zero_where_masked(mask, values).sum(dtype=wide)
    return (total / jnp.maximum(count, 1).astype(wide)).astype(values.dtype)


def cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    mask: jax.Array | None = None,
    *,
    smoothing: float = 0.0,
) -> jax.Array:
    """Cross entropy with integer labels, in nats per step.

    Args:
      logits: (T, ..., K).
      labels: integers (T, ...), 0 to K - 1.
      mask: bool (T, ...), True = a real step.
      smoothing: label smoothing, in [0, 1): the share of the probability that is spread evenly over
        all K classes (Szegedy et al., 2016).
    """
    _check_labels(logits, labels)
    check_rate("smoothing", smoothing)
    logits, labels = _zero_where_masked(mask, logits, labels)
    log_p = jax.nn.log_softmax(logits)
    at_label = jnp.take_along_axis(log_p, labels[..., None], axis=-1)[..., 0]
    return -masked_mean((1 - smoothing) * at_label + smoothing * log_p.mean(axis=-1), mask)


def binary_cross_entropy(
    logits: jax.Array, labels: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Cross entropy of independent binary labels, in nats.

    Args:
      logits: (T, ...).
      labels: like `logits`, from 0 to 1.
      mask: bool (T, ...), True = a real step.
    """
    logits, labels = _alike(logits, labels, mask)
    values = jax.nn.softplus(logits) - labels * logits
    return masked_mean(values, mask)


def mean_squared_error(
    predictions: jax.Array, targets: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """The mean of (prediction - target)².

    Args:
      predictions: (T, ...).
      targets: like `predictions`.
      mask: bool (T, ...), True = a real step.
    """
    predictions, targets = _alike(predictions, targets, mask)
    return masked_mean((predictions - targets) ** 2, mask)


def mean_absolute_error(
    predictions: jax.Array, targets: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """The mean of |prediction - target|.

    Args:
      predictions: (T, ...).
      targets: like `predictions`.
      mask: bool (T, ...), True = a real step.
    """
    predictions, targets = _alike(predictions, targets, mask)
    return masked_mean(jnp.abs(predictions - targets), mask)


def huber(
    predictions: jax.Array,
    targets: jax.Array,
    mask: jax.Array | None = None,
    *,
    delta: float = 1.0,
) -> jax.Array:
    """Huber loss: half the squared error up to `delta`, linear beyond (Huber, 1964).

    Args:
      predictions: (T, ...).
      targets: like `predictions`.
      mask: bool (T, ...), True = a real step.
      delta: the error at which the loss becomes linear; positive.
    """
    if not delta > 0:
        raise ValueError(f"`delta` must be positive, got {delta}.")
    predictions, targets = _alike(predictions, targets, mask)
    error = jnp.abs(predictions - targets)
    inside = jnp.minimum(error, delta)
    return masked_mean(inside * (error - inside / 2), mask)


def quantile_loss(
    predictions: jax.Array,
    targets: jax.Array,
    mask: jax.Array | None = None,
    *,
    quantile: float,
) -> jax.Array:
    """Pinball loss, minimized by the `quantile` of the target (Koenker and Bassett, 1978).

    Args:
      predictions: (T, ...).
      targets: like `predictions`.
      mask: bool (T, ...), True = a real step.
      quantile: in (0, 1).
    """
    if not 0 < quantile < 1:
        raise ValueError(f"`quantile` must be in (0, 1), got {quantile}.")
    predictions, targets = _alike(predictions, targets, mask)
    error = targets - predictions
    return masked_mean(jnp.maximum(quantile * error, (quantile - 1) * error), mask)


def perplexity(logits: jax.Array, labels: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """The exponential of `cross_entropy`.

    Args:
      logits: (T, ..., K).
      labels: integers (T, ...), 0 to K - 1.
      mask: bool (T, ...), True = a real step.
    """
    return jnp.exp(cross_entropy(logits, labels, mask))


def accuracy(logits: jax.Array, labels: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """The share of steps whose label has the largest logit.

    Args:
      logits: (T, ..., K).
      labels: integers (T, ...), 0 to K - 1.
      mask: bool (T, ...), True = a real step.
    """
    _check_labels(logits, labels)
    logits, labels = _zero_where_masked(mask, logits, labels)
    hits = jnp.argmax(logits, axis=-1).astype(labels.dtype) == labels
    return masked_mean(hits.astype(logits.dtype), mask)


def activation_penalty(ys: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Activation regularization: the mean square of outputs (T, ..., H).

    Add it to a loss with a small weight (Merity, McCann and Socher, 2017).

    Args:
      ys: outputs (T, ..., H).
      mask: bool (T, ...), True = a real step.
    """
    return masked_mean(zero_where_masked(mask, ys) ** 2, mask)


def temporal_activation_penalty(
    ys: jax.Array, mask: jax.Array | None = None, resets: jax.Array | None = None
) -> jax.Array:
    """Temporal activation regularization: the mean squared change of outputs from step to step.

    A change counts if both steps are real and the later one is not a reset. Add it to a loss with a
    small weight (Merity, McCann and Socher, 2017).

    Args:
      ys: outputs (T, ..., H).
      mask: bool (T, ...), True = a real step.
      resets: bool (T, ...), the resets that the layer was given.
    """
    check_flags("mask", mask, ys)
    check_flags("resets", resets, ys)
    mask = over_batch(mask, ys.shape[:-1], True)
    resets = over_batch(resets, ys.shape[:-1], False)
    counts = mask[1:] & mask[:-1] & ~resets[1:]
    ys = zero_where_masked(mask, ys)
    return masked_mean(zero_where_masked(counts, ys[1:] - ys[:-1]) ** 2, counts)


def _zero_where_masked(mask, *arrays):
    for array in arrays:
        check_flags("mask", mask, array)
    return tuple(zero_where_masked(mask, jnp.asarray(array)) for array in arrays)


def _alike(predictions, targets, mask):
    if predictions.shape != targets.shape or predictions.dtype != targets.dtype:
        raise ValueError(
            f"targets must have the shape and dtype of the predictions, {describe(predictions)}, "
            f"got {describe(targets)}. A last axis of size 1 is not broadcast: index it away."
        )
    return _zero_where_masked(mask, predictions, targets)


def _check_labels(logits, labels):
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"`labels` must be integers, one per step, got {describe(labels)}.")
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"`labels` must have shape {tuple(logits.shape[:-1])}, like `logits` "
            f"{tuple(logits.shape)} without its last axis, got {tuple(labels.shape)}."
        )
