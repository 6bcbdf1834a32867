"""Integer labels: their checks, and the steps that count."""

import numbers
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import describe
from jaxrnn._core.masking import over_batch, zero_where_masked
from jaxrnn._core.ranges import check_known, is_index
from jaxrnn.losses._arguments import check_array, check_mask, floating


def real_steps(
    logits: Any, labels: Any, mask: Any, ignore_label: int | None
) -> tuple[jax.Array, jax.Array, jax.Array, Any]:
    """Logits and int32 labels, zero where masked; whether each label is in range; the mask.

    Raises unless they fit each other, and where a label at a real step is known to be out of range.
    """
    logits = floating("logits", logits)
    _check_labels(logits, labels)
    check_mask("mask", mask, labels.shape, "`labels`")
    mask = _without(ignore_label, labels, mask)
    num_classes = logits.shape[-1]
    check_known("labels", labels, mask, 0, num_classes - 1, cause=_CAUSE)
    is_label = jnp.asarray(is_index(labels, num_classes))
    if mask is not None:
        is_label |= ~over_batch(mask, labels.shape, True)
    labels = jnp.where(is_label, jnp.asarray(labels).astype(jnp.int32), 0)
    return zero_where_masked(mask, logits), zero_where_masked(mask, labels), is_label, mask


_CAUSE = (
    "To leave out steps with a special label, pass a `mask` or `ignore_label`. Otherwise check "
    "that the classes are the last axis of `logits`."
)


def _without(ignore_label: Any, labels: Any, mask: Any) -> Any:
    """`mask` without the steps whose label is `ignore_label`."""
    if ignore_label is None:
        return mask
    if isinstance(ignore_label, bool) or not isinstance(ignore_label, numbers.Integral):
        raise TypeError(f"`ignore_label` must be an integer or None, got {describe(ignore_label)}.")
    limits = jnp.iinfo(labels.dtype)
    if not limits.min <= ignore_label <= limits.max:  # no label of this dtype equals it
        return mask
    kept = labels != int(ignore_label)
    return kept if mask is None else kept & over_batch(mask, labels.shape, True)


def _check_labels(logits, labels):
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"`logits` must be (T, ..., K) with K > 0 classes, got {logits.shape}.")
    check_array("labels", labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"`labels` must be integers, one per step, got {describe(labels)}.")
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"`labels` must have shape {tuple(logits.shape[:-1])}, like `logits` "
            f"{tuple(logits.shape)} without its last axis, got {tuple(labels.shape)}."
        )
