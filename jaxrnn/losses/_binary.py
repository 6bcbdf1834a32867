"""The loss and the scores of independent binary labels."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.masking import zero_where_masked
from jaxrnn._core.mesh import on_any_mesh
from jaxrnn._core.ranges import check_known
from jaxrnn._core.shardings import replicated
from jaxrnn.losses._arguments import check_array, floating, real_alike
from jaxrnn.losses._mean import mean
from jaxrnn.losses._products import nan_unless, times


@on_any_mesh(replicated)
def binary_cross_entropy(
    logits: jax.Array, labels: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Cross entropy of independent binary labels, in nats.

    Logits of inf and -inf are certain: the loss is zero where the label agrees, and infinite
    elsewhere.

    Args:
      logits: floating (T, ...).
      labels: (T, ...), like `logits`: bools, integers 0 and 1, or probabilities from 0 to 1 in the
        dtype of the logits.
      mask: bool, with any of the leading axes of `labels`, True = a real step.

    Returns:
      A scalar in the dtype of `logits`, 0 without a real step.

    Raises:
      ValueError, TypeError: an argument of another shape or dtype; or a label outside 0 to 1 at a
        real step, where the labels are known. A traced label out of range gives NaN.

    Examples:
      >>> logits = jnp.array([[jnp.inf, 0.0], [-jnp.inf, 0.0]])  # (T, K)
      >>> labels = jnp.array([[1, 1], [0, 0]])
      >>> loss = jaxrnn.losses.binary_cross_entropy(logits, labels)  # half of them cost log 2
      >>> round(float(loss / np.log(2)), 3)
      0.5
    """
    x, y, dtype = _real_labels(logits, labels, mask)
    values = times(y, jax.nn.softplus(-x)) + times(1 - y, jax.nn.softplus(x))
    return mean(nan_unless(_is_label(y), values), mask).astype(dtype)


@on_any_mesh(replicated)
def binary_accuracy(
    logits: jax.Array, labels: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """The share of binary labels that the sign of the logit predicts.

    A logit above 0 predicts a positive label, and a label above 0.5 is positive.

    Args:
      logits: floating (T, ...).
      labels: (T, ...), as in `binary_cross_entropy`.
      mask: bool, with any of the leading axes of `labels`, True = a real step.

    Returns:
      A scalar in the dtype of `logits`, from 0 to 1.

    Raises:
      ValueError, TypeError: as in `binary_cross_entropy`.

    Examples:
      >>> logits = jnp.array([3.0, -1.0, 2.0, 5.0])  # (T,)
      >>> labels = jnp.array([True, False, False, False])
      >>> mask = jnp.array([True, True, True, False])
      >>> round(float(jaxrnn.losses.binary_accuracy(logits, labels, mask)), 3)
      0.667
    """
    x, y, dtype = _real_labels(logits, labels, mask)
    hits = ((x > 0) == (y > 0.5)).astype(x.dtype)
    return mean(jnp.where(_is_known(x, y), hits, jnp.nan), mask).astype(dtype)


@on_any_mesh(replicated)
def f1(logits: jax.Array, labels: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """F1 score of binary labels: the harmonic mean of precision and recall (Van Rijsbergen, 1979).

    The score of the positive label, with the hits and errors of all real steps counted together.
    A logit above 0 predicts a positive label, and a label above 0.5 is positive. Where neither a
    label nor a prediction is positive, the score is 0.

    Args:
      logits: floating (T, ...).
      labels: (T, ...), as in `binary_cross_entropy`.
      mask: bool, with any of the leading axes of `labels`, True = a real step.

    Returns:
      A scalar in the dtype of `logits`, from 0 to 1.

    Raises:
      ValueError, TypeError: as in `binary_cross_entropy`.

    Examples:
      >>> logits = jnp.array([1.0, 1.0, 1.0, -1.0, -1.0])  # precision 2/3, recall 1
      >>> labels = jnp.array([1, 1, 0, 0, 0])
      >>> round(float(jaxrnn.losses.f1(logits, labels)), 3)
      0.8
    """
    x, y, dtype = _real_labels(logits, labels, mask)
    predicted, positive = (zero_where_masked(mask, flags) for flags in (x > 0, y > 0.5))
    hits = (predicted & positive).astype(x.dtype).sum()
    errors = jnp.where(_is_known(x, y), (predicted != positive).astype(x.dtype), jnp.nan).sum()
    score = 2 * hits / jnp.where(hits + errors == 0, 1, 2 * hits + errors)
    return score.astype(dtype)


def _real_labels(logits, labels, mask):
    """Logits and labels in the dtype of the sums, zero where masked, and the dtype of the logits.

    Raises unless they fit, and where a label at a real step is known to be out of range.
    """
    logits = floating("logits", logits)
    check_array("labels", labels)
    x, y, dtype = real_alike(mask, logits=logits, labels=_as_floating(labels, logits.dtype))
    check_known("labels", labels, mask, 0, 1, cause=_CAUSE)
    return x, y, dtype


_CAUSE = (
    "They are probabilities: map labels of -1 and 1 to 0 and 1 with `(labels + 1) / 2`, and mask "
    "the padding."
)


def _as_floating(labels: Any, dtype: Any) -> Any:
    """Bools and integers in `dtype`. An integer out of range stays out of range."""
    if labels.dtype == jnp.bool_:
        return labels.astype(dtype)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        return labels
    # Compared before they are cast, because float16 has no 2**20, and int32 no 2**32.
    zero, one = (jnp.asarray(labels == label) for label in (0, 1))
    return jnp.where(zero, 0, jnp.where(one, 1, 2)).astype(dtype)


def _is_known(x, y):
    return _is_label(y) & ~jnp.isnan(x)


def _is_label(y):
    return (y >= 0) & (y <= 1)
