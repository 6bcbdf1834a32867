"""What losses over alignments share: their targets, and the logs of what cannot be."""

import numbers
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import describe
from jaxrnn._core.compaction import compacted
from jaxrnn._core.masking import over_batch
from jaxrnn._core.ranges import check_known, is_index, known_where
from jaxrnn.losses._arguments import check_array, check_mask
from jaxrnn.losses._mean import mean
from jaxrnn.losses._products import nan_unless

# The log of a probability of zero. It is finite, because the gradient of -inf - -inf is NaN, and so
# large that many of them fit into float32, and that nothing real is as small.
IMPOSSIBLE = -1e30


class Targets(NamedTuple):
    """Symbols of which the real ones come first."""

    symbols: jax.Array  # int32 (U, ...)
    lengths: jax.Array  # int32 (...), how many are real
    are_right: jax.Array  # bool (...), whether all of them are classes other than the blank


def real_targets(targets: Any, target_mask: Any, logits: jax.Array, blank: int) -> Targets:
    """The real symbols of checked targets, moved to the front."""
    num_classes = logits.shape[-1]
    is_real = over_batch(target_mask, targets.shape, True)
    is_right = jnp.asarray(is_index(targets, num_classes) & (targets != blank))
    symbols = jnp.where(is_right & is_real, jnp.asarray(targets).astype(jnp.int32), 0)
    if target_mask is not None:
        symbols, _ = compacted(symbols, is_real)
    lengths = is_real.sum(axis=0, dtype=jnp.int32)
    return Targets(symbols, lengths, (is_right | ~is_real).all(axis=0))


def check_alignable(
    logits: jax.Array, targets: Any, mask: Any, target_mask: Any, num_axes: int, blank: Any
) -> None:
    """Raises unless all fit logits with `num_axes` axes before the batch axes, and classes last."""
    num_classes, batch = logits.shape[-1], logits.shape[num_axes:-1]
    check_blank(blank, num_classes)
    check_array("targets", targets)
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise TypeError(f"`targets` must be integers (U, ...), got {describe(targets)}.")
    if len(targets.shape) == 0 or targets.shape[1:] != batch:
        raise ValueError(
            f"`targets` must be (U, ...) with the batch axes {tuple(batch)} of `logits` "
            f"{tuple(logits.shape)}, got {tuple(targets.shape)}. They are time-first: are they "
            "transposed?"
        )
    check_mask("mask", mask, (logits.shape[0], *batch), "the steps of `logits`")
    check_mask("target_mask", target_mask, targets.shape, "`targets`")
    check_known("targets", targets, target_mask, 0, num_classes - 1, cause=_CAUSE)
    values = known_where(target_mask, targets)
    if values is not None and (values == blank).any():
        raise ValueError(
            f"`targets` must not hold the blank, {blank}. If it is padding, mask it with "
            "`target_mask`. If it is a symbol, shift the symbols, or choose another `blank`."
        )


_CAUSE = "To leave out padding, pass a `target_mask`."


def check_blank(blank: Any, num_classes: int) -> None:
    """Raises unless `blank` is one of the classes."""
    if isinstance(blank, bool) or not isinstance(blank, numbers.Integral):
        raise TypeError(f"`blank` must be an integer, got {describe(blank)}.")
    if not 0 <= blank < num_classes:
        raise ValueError(
            f"`blank` must be a class, from 0 to {num_classes - 1}, got {blank}. The classes are "
            "the last axis of `logits`."
        )


def loss_of(log_p: jax.Array, targets: Targets, is_real: jax.Array) -> jax.Array:
    """The mean of -log p over the sequences that have a real step or a real symbol.

    Args:
      log_p: (...), the log-likelihood of each sequence.
      targets: of each sequence.
      is_real: bool (T, ...), the real steps.
    """
    # Not where the targets are wrong, or their gradient would be zero in place of NaN.
    is_never = (log_p < IMPOSSIBLE / 2) & targets.are_right
    values = jnp.where(is_never, jnp.inf, -log_p)
    counts = is_real.any(axis=0) | (targets.lengths > 0)
    return mean(nan_unless(targets.are_right, values)[None], counts[None])
