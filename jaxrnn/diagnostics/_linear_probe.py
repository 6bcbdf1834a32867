"""What can be read linearly from states."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_array, check_positive, describe
from jaxrnn._core.masking import over_batch, zero_where_masked
from jaxrnn._core.numerics import sum_dtype
from jaxrnn.diagnostics._states import check_share, check_states
from jaxrnn.layers._dense import DenseParams
from jaxrnn.training._ridge import ridge_readout


class Probe(NamedTuple):
    """A linear readout, and how good it is on steps that it was not fitted to."""

    readout: DenseParams  # kernel (H, F) and bias (F,)
    score: jax.Array  # (), R² of values, averaged over F; the accuracy for labels
    chance: jax.Array  # (), the score without the states: 0, or the most frequent label's share


def linear_probe(
    states: jax.Array,
    targets: Any,
    *,
    num_classes: int | None = None,
    mask: jax.Array | None = None,
    penalty: float = 1e-3,
    held_out: float = 0.25,
) -> Probe:
    """A linear probe: whether a linear readout of the states knows something, such as a label.

    The readout is fitted by ridge regression to the first steps, and scored on the last ones.

        _, ys = jaxrnn.unroll(cell, params, None, xs)
        linear_probe(ys, brackets_open)  # (T, B, 1): does it count them?

    Args:
      states: (T, ..., H), such as the outputs of a cell.
      targets: floating (T, ..., F) in the dtype of the states; or labels, integers (T, ...) from 0
        to K - 1, for which the readout has an output for each class and the largest one wins.
      num_classes: K, for labels.
      mask: bool (T, ...), True = a real step.
      penalty: how much large weights cost, above 0, as in `jaxrnn.training.ridge_readout`.
      held_out: the share of the T steps, the last ones, that it is scored on, in (0, 0.9].

    Returns:
      A `Probe`. A score well above `chance` says that the states hold the target in linear form.

    Raises:
      ValueError, TypeError: an argument of another shape or dtype, or out of its range; or labels
        without `num_classes`.

    References: Alain and Bengio, 2017, "Understanding intermediate layers using linear classifier
    probes".

    Examples:
      >>> states = jnp.float32(np.random.default_rng(0).normal(size=(200, 2, 4)))  # (T, B, H)
      >>> targets = states[..., :1] - states[..., 1:2]
      >>> probe = jaxrnn.diagnostics.linear_probe(states, targets)
      >>> round(float(probe.score), 2), bool(probe.chance < 0.1)  # a score of 1 is perfect
      (1.0, True)
    """
    check_states("states", states, mask)
    check_array("targets", targets)
    check_share("held_out", held_out, 0.9)
    check_positive("penalty", penalty)
    is_label = jnp.issubdtype(targets.dtype, jnp.integer)
    if is_label:
        _check_labels(states, targets, num_classes)
        values = jax.nn.one_hot(targets, num_classes, dtype=states.dtype)
    else:
        values = jnp.asarray(targets)
    last = max(1, round(held_out * states.shape[0]))
    first = states.shape[0] - last
    if first < 1:
        raise ValueError(f"`states` has {states.shape[0]} steps, too few to hold some out.")
    own = None if mask is None else mask[:first]
    readout = ridge_readout(states[:first], values[:first], penalty=penalty, mask=own)
    wide = sum_dtype(states.dtype)
    shape = last, *states.shape[1:-1]
    is_real = over_batch(None if mask is None else mask[first:], shape, True)
    states, values = zero_where_masked(is_real, (states[first:], values[first:]))
    guesses = (states @ readout.kernel + readout.bias).astype(wide)
    if is_label:
        return Probe(readout, *_accuracy(guesses, targets[first:], is_real, num_classes))
    return Probe(readout, *_r_squared(guesses, values.astype(wide), is_real))


def _accuracy(guesses, labels, is_real, num_classes):
    count = jnp.maximum(is_real.sum(), 1).astype(guesses.dtype)
    right = (jnp.argmax(guesses, axis=-1).astype(jnp.int32) == labels.astype(jnp.int32)) & is_real
    shares = jax.nn.one_hot(labels, num_classes, dtype=guesses.dtype)
    shares = zero_where_masked(is_real, shares)
    most = shares.reshape(-1, num_classes).sum(axis=0).max()
    return right.sum().astype(guesses.dtype) / count, most / count


def _r_squared(guesses, values, is_real):
    weights = is_real[..., None].astype(values.dtype)
    axes = tuple(range(values.ndim - 1))
    mean = (weights * values).sum(axes, keepdims=True) / jnp.maximum(weights.sum(), 1)
    error = (weights * (guesses - values) ** 2).sum(axes)
    spread = (weights * (values - mean) ** 2).sum(axes)
    score = 1 - error / jnp.where(spread > 0, spread, jnp.ones_like(spread))
    return score.mean(), jnp.zeros_like(score.mean())


def _check_labels(states, labels, num_classes):
    if num_classes is None:
        raise ValueError("`num_classes` must be given for targets that are labels.")
    if labels.shape != states.shape[:-1]:
        raise ValueError(
            f"`targets` must be labels {tuple(states.shape[:-1])}, one for each state, got "
            f"{describe(labels)}."
        )
