"""Connectionist temporal classification."""

import functools
import math

import jax
import jax.numpy as jnp

from jaxrnn._core.masking import over_batch
from jaxrnn._core.mesh import on_any_mesh
from jaxrnn._core.shardings import replicated
from jaxrnn.losses._alignments import IMPOSSIBLE, check_alignable, loss_of, real_targets
from jaxrnn.losses._arguments import floating, widened


@on_any_mesh(replicated)
def ctc_loss(
    logits: jax.Array,
    targets: jax.Array,
    mask: jax.Array | None = None,
    target_mask: jax.Array | None = None,
    *,
    blank: int = 0,
) -> jax.Array:
    """Connectionist temporal classification (CTC) loss, in nats per sequence.

    The negative log-likelihood of the targets, summed over all alignments: each step emits a class,
    repeats are merged, and then blanks are removed. The result is the mean over the sequences, not
    divided by their lengths. For the loss of each sequence, use `jax.vmap` over the batch axis.

    The loss is infinite where no alignment is possible, and has zero gradient for that sequence: if
    the real steps are fewer than the symbols plus their repeats, or if logits of -inf exclude all
    alignments. It is NaN where all logits of a real step are -inf. A sequence without a real step
    and without a real symbol, which only fills a batch, does not count.

    Within `jax.shard_map`, the loop of optax needs ``check_vma=False``.

    Args:
      logits: floating (T, ..., K), of K classes with the blank.
      targets: integers (U, ...), 0 to K - 1 and not `blank`.
      mask: bool, with any of the leading axes of `logits` but the last, True = a real step.
      target_mask: bool, with any of the leading axes of `targets`, True = a real symbol.
      blank: the class that stands for no symbol.

    Returns:
      A scalar in the dtype of `logits`.

    Raises:
      ValueError, TypeError: an argument of another shape or dtype; or a real symbol that is the
        blank or is no class, where the targets are known. A traced one gives NaN.
      ImportError: optax, which computes the loss, is not installed.

    References: Graves, Fernández, Gomez and Schmidhuber, 2006, "Connectionist temporal
    classification: labelling unsegmented sequence data with recurrent neural networks".

    Examples:
      >>> logits = jnp.zeros((2, 1, 3))  # (T, B, K)
      >>> loss = jaxrnn.losses.ctc_loss(logits, jnp.array([[1]]))  # 01, 10 or 11, of 9 paths
      >>> round(float(jnp.exp(-loss) * 9), 3)
      3.0
      >>> float(jaxrnn.losses.ctc_loss(logits, jnp.array([[1], [1]])))  # would need 1, 0, 1
      inf
    """
    logits = floating("logits", logits)
    if logits.ndim < 2 or logits.shape[-1] == 0:
        raise ValueError(f"`logits` must be (T, ..., K) with K > 0 classes, got {logits.shape}.")
    check_alignable(logits, targets, mask, target_mask, 1, blank)
    real = real_targets(targets, target_mask, logits, blank)
    is_real = over_batch(mask, logits.shape[:-1], True)
    loss, x = _optax().ctc_loss, widened(mask, logits)
    log_p = _log_likelihood(loss, x, is_real, real.symbols, real.lengths, blank=int(blank))
    return loss_of(log_p, real, is_real).astype(logits.dtype)


# Compiled, because otherwise each eager call would compile the loop of optax.
@functools.partial(jax.jit, static_argnames=("loss", "blank"))
def _log_likelihood(loss, logits, is_real, symbols, lengths, *, blank):
    """log p (...) of each sequence; far below 0 where it cannot be."""
    batch = logits.shape[1:-1]
    rows = math.prod(batch)
    # optax has some arrays in the default dtype, and a place for each label at least.
    dtype = jnp.result_type(float)
    logits = _batch_major(logits.reshape(logits.shape[0], rows, logits.shape[-1]), 0).astype(dtype)
    is_padding = _batch_major(~is_real.reshape(is_real.shape[0], rows), True).astype(dtype)
    symbols = _batch_major(symbols.reshape(symbols.shape[0], rows), 0)
    places = jnp.arange(symbols.shape[1], dtype=jnp.int32)
    is_beyond = (places[None] >= lengths.reshape(rows, 1)).astype(dtype)
    # From the largest logit down, so that no sum of the excluded ones overflows.
    logits = jnp.maximum(logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True)), IMPOSSIBLE)
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.default_matmul_precision("highest"),  # optax picks classes by a product with zeros
    ):
        values = loss(
            logits, is_padding, symbols, is_beyond, blank_id=blank, log_epsilon=IMPOSSIBLE
        )
    return -values.reshape(batch)


def _batch_major(x, filler):
    """(T, B, ...) -> (B, T, ...), where no step becomes one of `filler`."""
    if x.shape[0] == 0:
        x = jnp.full((1, *x.shape[1:]), filler, x.dtype)
    return x.swapaxes(0, 1)


def _optax():
    try:
        import optax
    except ImportError as error:
        raise ImportError(
            'The CTC loss needs the optax library: `pip install "jaxrnn[examples]"`.'
        ) from error
    return optax
