"""Losses and scores of classifiers with integer labels."""

import jax
import jax.numpy as jnp

from jaxrnn._core.mesh import on_any_mesh
from jaxrnn._core.numerics import sum_dtype
from jaxrnn._core.shardings import replicated
from jaxrnn.losses._arguments import number
from jaxrnn.losses._labels import real_steps
from jaxrnn.losses._mean import mean
from jaxrnn.losses._products import nan_unless, times


@on_any_mesh(replicated)
def cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    mask: jax.Array | None = None,
    *,
    smoothing: float = 0.0,
    ignore_label: int | None = None,
) -> jax.Array:
    """Cross entropy with integer labels, in nats per step.

    A logit of -inf excludes a class. The loss is infinite where that class is the label, or where
    `smoothing` gives it a share. It is NaN where all logits are -inf.

    Args:
      logits: floating (T, ..., K).
      labels: integers (T, ...), 0 to K - 1.
      mask: bool, with any of the leading axes of `labels`, True = a real step.
      smoothing: label smoothing, in [0, 1): the share of the probability that is spread evenly over
        all K classes (Szegedy et al., 2016).
      ignore_label: a label that counts as masked, wherever it is; torch calls it `ignore_index`.

    Returns:
      A scalar in the dtype of `logits`, 0 without a real step.

    Raises:
      ValueError, TypeError: an argument of another shape or dtype; or a label outside 0 to K - 1 at
        a real step, where the labels are known. A traced label out of range gives NaN.

    Examples:
      >>> logits = jnp.zeros((7, 3, 10))  # (T, B, K)
      >>> labels = jnp.full((7, 3), 2).at[4:, 0].set(-100)  # a shorter row
      >>> loss = jaxrnn.losses.cross_entropy(logits, labels, ignore_label=-100)
      >>> round(float(loss / np.log(10)), 3)
      1.0
    """
    loss, dtype = _cross_entropy(logits, labels, mask, smoothing, ignore_label)
    return loss.astype(dtype)


@on_any_mesh(replicated)
def perplexity(
    logits: jax.Array,
    labels: jax.Array,
    mask: jax.Array | None = None,
    *,
    ignore_label: int | None = None,
) -> jax.Array:
    """Perplexity: the exponential of `cross_entropy` (Jelinek, Mercer, Bahl and Baker, 1977).

    Args:
      logits: floating (T, ..., K).
      labels: integers (T, ...), 0 to K - 1.
      mask: bool, with any of the leading axes of `labels`, True = a real step.
      ignore_label: a label that counts as masked, as in `cross_entropy`.

    Returns:
      A scalar in the dtype of `logits`, 1 or more.

    Raises:
      ValueError, TypeError: as in `cross_entropy`.

    Examples:
      >>> logits = jnp.zeros((7, 3, 10))  # a model that has learned nothing
      >>> round(float(jaxrnn.losses.perplexity(logits, jnp.ones((7, 3), int))), 3)
      10.0
    """
    loss, dtype = _cross_entropy(logits, labels, mask, 0.0, ignore_label)
    return jnp.exp(loss).astype(dtype)


@on_any_mesh(replicated)
def accuracy(
    logits: jax.Array,
    labels: jax.Array,
    mask: jax.Array | None = None,
    *,
    ignore_label: int | None = None,
) -> jax.Array:
    """The share of steps whose label has the largest logit.

    Args:
      logits: floating (T, ..., K).
      labels: integers (T, ...), 0 to K - 1.
      mask: bool, with any of the leading axes of `labels`, True = a real step.
      ignore_label: a label that counts as masked, as in `cross_entropy`.

    Returns:
      A scalar in the dtype of `logits`, from 0 to 1.

    Raises:
      ValueError, TypeError: as in `cross_entropy`.

    Examples:
      >>> logits = jax.nn.one_hot(jnp.array([0, 1, 2, 2]), 3)  # (T, K)
      >>> labels = jnp.array([0, 1, 0, -1])
      >>> round(float(jaxrnn.losses.accuracy(logits, labels, ignore_label=-1)), 3)
      0.667
    """
    logits, labels, is_label, mask = real_steps(logits, labels, mask, ignore_label)
    hits = jax.lax.argmax(logits, logits.ndim - 1, jnp.int32) == labels
    is_known = is_label & ~jnp.isnan(logits).any(axis=-1)
    hits = jnp.where(is_known, hits.astype(logits.dtype), jnp.nan)
    return mean(hits, mask).astype(logits.dtype)


def _cross_entropy(logits, labels, mask, smoothing, ignore_label):
    """The loss in the dtype of the sums, and the dtype of the logits."""
    logits, labels, is_label, mask = real_steps(logits, labels, mask, ignore_label)
    wide = sum_dtype(logits.dtype)
    smoothing = number(
        "smoothing", smoothing, wide, lambda s: (s >= 0) & (s < 1), "a number in [0, 1)"
    )
    log_p = jax.nn.log_softmax(logits.astype(wide))
    values = (1 - smoothing) * jnp.take_along_axis(log_p, labels[..., None], axis=-1)[..., 0]
    if not isinstance(smoothing, float) or smoothing > 0:
        values += times(smoothing, log_p.mean(axis=-1))
    return -mean(nan_unless(is_label, values), mask), logits.dtype
