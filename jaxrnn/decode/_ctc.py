"""Decoding of connectionist temporal classification: from frames to labels."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_size
from jaxrnn._core.compaction import compacted
from jaxrnn._core.masking import over_batch, zero_where_masked
from jaxrnn._core.mesh import on_any_mesh
from jaxrnn._core.numerics import sum_dtype
from jaxrnn._core.shardings import like_frames
from jaxrnn.decode._checks import check_frames
from jaxrnn.decode._prefixes import best_prefixes


class Labels(NamedTuple):
    """The labels of each row, in its first steps.

    Attributes:
      symbols: int32 (T, ...), or (T, ..., N) for N candidates, the best first; 0 after the last.
      mask: bool, like `symbols`, True for the labels.
      scores: (...) or (..., N), log probabilities, in the dtype of the logits.
    """

    symbols: jax.Array
    mask: jax.Array
    scores: jax.Array


@on_any_mesh(like_frames)
def ctc_greedy(logits: jax.Array, mask: jax.Array | None = None, *, blank: int = 0) -> Labels:
    """Greedy CTC decoding: the most likely symbol of each frame, repeats merged, blanks removed.

    Args:
      logits: floating (T, ..., K).
      mask: bool (T, ...), True = a real frame.
      blank: the symbol that stands for no label.

    Returns:
      `Labels`; the score is the log probability of the one alignment that was taken. A row with
      logits of NaN has labels of -1 and a score of NaN.

    Raises:
      ValueError, TypeError: an argument of another shape or dtype, or `blank` is not from 0 to
        K - 1.

    References: Graves et al., 2006, "Connectionist temporal classification: labelling unsegmented
    sequence data with recurrent neural networks".

    Examples:
      >>> frames = jnp.array([1, 1, 0, 1, 2, 2])  # the most likely symbols; 0 is the blank
      >>> best = jaxrnn.decode.ctc_greedy(10 * jnp.eye(3)[frames])
      >>> best.symbols[best.mask].tolist()
      [1, 1, 2]
    """
    logits = check_frames(logits, mask, blank)
    mask = over_batch(mask, logits.shape[:-1], True)
    logits, mask = compacted(logits, mask)
    log_p = _log_probabilities(logits, mask)
    best = jnp.argmax(log_p, axis=-1).astype(jnp.int32)
    before = jnp.concatenate([jnp.full((1, *best.shape[1:]), blank, jnp.int32), best[:-1]])
    is_label = mask & (best != blank) & (best != before)
    symbols, is_label = compacted(best, is_label)
    scores = jnp.sum(zero_where_masked(mask, jnp.max(log_p, axis=-1)), axis=0)
    return _labels(symbols, is_label, scores, logits.dtype)


@on_any_mesh(like_frames)
def ctc_beam_search(
    logits: jax.Array, beams: int, mask: jax.Array | None = None, *, blank: int = 0
) -> Labels:
    """CTC prefix beam search: the most likely labels, summed over their alignments.

    Of each label sequence that is a candidate, the probability of all alignments is kept, those
    that end in a blank apart from those that do not.

    Args:
      logits: floating (T, ..., K).
      beams: N, the number of candidates that are kept at each frame, and returned.
      mask: bool (T, ...), True = a real frame.
      blank: the symbol that stands for no label.

    Returns:
      `Labels` with an axis of N candidates. The score is the log probability of the labels, summed
      over the alignments that were kept; it is exact where `beams` is large enough to keep all, and
      -inf where there are fewer candidates than N. A row with logits of NaN has labels of -1 and
      scores of NaN.

    Raises:
      ValueError, TypeError: as in `ctc_greedy`, or `beams` is not a positive integer.

    References: Hannun et al., 2014, "First-pass large vocabulary continuous speech recognition
    using bi-directional recurrent DNNs".

    Examples:
      >>> p = jnp.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])  # (T, K)
      >>> best = jaxrnn.decode.ctc_beam_search(jnp.log(p), beams=4)
      >>> best.symbols[:, 0].tolist()  # label 1, by the alignments 01, 10 and 11
      [1, 0]
      >>> [round(float(p), 2) for p in jnp.exp(best.scores[:2])]
      [0.39, 0.25]
    """
    check_size("beams", beams)
    logits = check_frames(logits, mask, blank)
    mask = over_batch(mask, logits.shape[:-1], True)
    return _search(logits, mask, int(beams), int(blank))


@functools.partial(jax.jit, static_argnums=(2, 3))
def _search(logits, mask, beams, blank):
    def search(log_p, mask):
        return best_prefixes(log_p, mask, beams, blank)

    for _ in range(mask.ndim - 1):
        search = jax.vmap(search, (1, 1), (1, 0))
    # (T, ..., N), -1 where a candidate does not grow
    grown, scores = search(_log_probabilities(logits, mask), mask)
    symbols, is_label = compacted(grown, grown >= 0)
    return _labels(symbols, is_label, scores, logits.dtype)


def _log_probabilities(logits: jax.Array, mask: jax.Array) -> jax.Array:
    logits = zero_where_masked(mask, logits).astype(sum_dtype(logits.dtype))
    return jax.nn.log_softmax(logits)


def _labels(symbols: jax.Array, mask: jax.Array, scores: jax.Array, dtype: Any) -> Labels:
    is_lost = jnp.isnan(scores)[None]
    symbols = jnp.where(mask, symbols, 0)
    return Labels(jnp.where(is_lost, -1, symbols), mask | is_lost, scores.astype(dtype))
