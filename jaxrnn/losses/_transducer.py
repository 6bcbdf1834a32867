"""The loss of recurrent neural network transducers."""

import functools

import jax
import jax.numpy as jnp

from jaxrnn._core.loop import varying_like
from jaxrnn._core.masking import over_batch, zero_where_masked
from jaxrnn._core.mesh import on_any_mesh
from jaxrnn._core.numerics import sum_dtype
from jaxrnn._core.shardings import replicated
from jaxrnn.losses._alignments import IMPOSSIBLE, check_alignable, loss_of, real_targets
from jaxrnn.losses._arguments import floating


@on_any_mesh(replicated)
def rnnt_loss(
    logits: jax.Array,
    targets: jax.Array,
    mask: jax.Array | None = None,
    target_mask: jax.Array | None = None,
    *,
    blank: int = 0,
) -> jax.Array:
    """RNN transducer (RNN-T) loss, in nats per sequence.

    The negative log-likelihood of the targets, summed over all alignments: at step t and after u
    symbols, the model emits the next symbol, or the blank, which goes on to step t + 1. The result
    is the mean over the sequences, not divided by their lengths. For the loss of each sequence, use
    `jax.vmap` over the batch axis.

    The joint network gives the logits, for example from ``encoded[:, None] + predicted[None]``,
    where the encoder gives (T, B, D) and the prediction network (U + 1, B, D). Position u of the
    prediction network has read u symbols: its inputs are a start symbol and then the targets. A
    masked symbol masks the position that has just read it. Beside the logits and their gradient,
    the memory is that of (T + U) (U + 1) numbers for each sequence.

    The loss is infinite where no alignment is possible, and has zero gradient for that sequence: if
    there are symbols and no real step, or if logits of -inf exclude all alignments. It is NaN where
    all logits of a real position are -inf. A sequence without a real step and without a real
    symbol, which only fills a batch, does not count.

    Args:
      logits: floating (T, U + 1, ..., K), of K classes with the blank.
      targets: integers (U, ...), 0 to K - 1 and not `blank`.
      mask: bool (T, ...), with any of the leading axes of the steps, True = a real step.
      target_mask: bool, with any of the leading axes of `targets`, True = a real symbol.
      blank: the class that stands for no symbol.

    Returns:
      A scalar in the dtype of `logits`.

    Raises:
      ValueError, TypeError: an argument of another shape or dtype; or a real symbol that is the
        blank or is no class, where the targets are known. A traced one gives NaN.

    References: Graves, 2012, "Sequence transduction with recurrent neural networks".

    Examples:
      >>> logits = jnp.zeros((2, 2, 1, 3))  # (T, U + 1, B, K)
      >>> loss = jaxrnn.losses.rnnt_loss(logits, jnp.array([[1]]))  # 1 before either blank
      >>> round(float(jnp.exp(-loss) * 27), 3)  # 2 alignments, each 3 choices of one in 3
      2.0
    """
    logits = floating("logits", logits)
    if logits.ndim < 3 or logits.shape[-1] == 0:
        raise ValueError(
            f"`logits` must be (T, U + 1, ..., K) with K > 0 classes, got {logits.shape}."
        )
    check_alignable(logits, targets, mask, target_mask, 2, blank)
    if logits.shape[1] != targets.shape[0] + 1:
        raise ValueError(
            f"`logits` must be (T, U + 1, ..., K) with U = {targets.shape[0]} as in `targets` "
            f"{tuple(targets.shape)}, got {tuple(logits.shape)}. Their second axis begins before "
            "the first symbol: give the prediction network a start symbol, then the targets."
        )
    real = real_targets(targets, target_mask, logits, blank)
    is_real = over_batch(mask, (logits.shape[0], *targets.shape[1:]), True)
    is_read = None if target_mask is None else over_batch(target_mask, targets.shape, True)
    log_p = _log_likelihood(logits, is_real, is_read, real.symbols, real.lengths, blank=int(blank))
    return loss_of(log_p, real, is_real).astype(logits.dtype)


# Compiled, because otherwise each eager call would compile the loop.
@functools.partial(jax.jit, static_argnames="blank")
def _log_likelihood(logits, is_real, is_read, symbols, lengths, *, blank):
    """log p (...) of each sequence; far below 0 where it cannot be."""
    symbols = jnp.concatenate([symbols, jnp.zeros_like(lengths)[None]])
    is_position = jnp.ones(symbols.shape, bool)
    if is_read is not None:
        is_position = jnp.concatenate([is_position[:1], is_read])
        next_symbol = jnp.cumsum(is_position, axis=0, dtype=jnp.int32) - 1
        symbols = jnp.take_along_axis(symbols, next_symbol, axis=0)
    blanks, emits = _scores(logits, is_real, is_position, symbols, blank)
    if is_read is not None:  # the real positions come first, as the symbols do
        order = jnp.argsort(~is_position, axis=0, stable=True)[None]
        blanks, emits = (jnp.take_along_axis(x, order, axis=1) for x in (blanks, emits))
    # A certain blank passes a masked step.
    blanks = jnp.where(is_real[:, None], blanks, 0)
    emits = jnp.where(is_real[:, None], emits, IMPOSSIBLE)
    log_p = _forward(_by_diagonals(blanks, 0), _by_diagonals(emits, IMPOSSIBLE))
    return jnp.take_along_axis(log_p, lengths[None], axis=0)[0]


def _scores(logits, is_real, is_position, symbols, blank):
    """log p (T, U + 1, ...) of the blank and of the next symbol.

    A step at a time, and computed again for the gradient, so that nothing else of the size of the
    logits is ever there.
    """

    @jax.checkpoint
    def step(xs):
        logits, is_real = xs
        x = logits.astype(sum_dtype(logits.dtype))
        x = zero_where_masked(is_position & is_real[None], x)
        log_z = jax.nn.logsumexp(x, axis=-1)
        emits = jnp.take_along_axis(x, symbols[..., None], axis=-1)[..., 0]
        return tuple(jnp.maximum(chosen - log_z, IMPOSSIBLE) for chosen in (x[..., blank], emits))

    return jax.lax.map(step, (logits, is_real))


def _by_diagonals(scores, filler):
    """Scores (T, U + 1, ...) as (T + U, U + 1, ...), where d, u is of step d - u.

    `filler` stands where there is no such step.
    """
    num_steps, positions = scores.shape[:2]
    rows = jnp.moveaxis(scores, 1, 0)  # (U + 1, T, ...)
    padding = [(0, 0), (0, positions)] + [(0, 0)] * (rows.ndim - 2)
    rows = jnp.pad(rows, padding, constant_values=filler)
    # Cut into rows that are shorter by one, each begins one place later than the row before it.
    flat = rows.reshape(positions * (num_steps + positions), *rows.shape[2:])[:-positions]
    rows = flat.reshape(positions, num_steps + positions - 1, *rows.shape[2:])
    return jnp.moveaxis(rows, 0, 1)


def _forward(blanks, emits):
    """log p (U + 1, ...) of passing all steps with u symbols; the scores are by diagonals.

        α(t, u) = log(exp(α(t - 1, u) + blank(t - 1, u)) + exp(α(t, u - 1) + emit(t, u - 1)))

    All of a diagonal t + u = d follow from the one before it. Beyond the last step, where blanks
    are certain and no symbol is emitted, α stays as it is.
    """
    first = jnp.full_like(blanks, IMPOSSIBLE, shape=blanks.shape[1:]).at[0].set(0)
    never = jnp.full_like(first[:1], IMPOSSIBLE)

    @jax.checkpoint
    def diagonal(alpha, scores):
        blank, emit = scores
        emitted = jnp.concatenate([never, (alpha + emit)[:-1]])
        return jnp.logaddexp(alpha + blank, emitted), None

    return jax.lax.scan(diagonal, varying_like((blanks, emits), first), (blanks, emits))[0]
