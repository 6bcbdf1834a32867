"""Which steps a score depends on, by leaving them out."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_sequence, check_size, describe
from jaxrnn._core.masking import select
from jaxrnn._core.matching import check_carry
from jaxrnn.engines._unroll import as_arrays


def occlusion(
    score: Callable[[Any], jax.Array],
    xs: Any,
    *,
    baseline: Any = None,
    window: int = 1,
) -> jax.Array:
    """Occlusion: how much a score falls when a stretch of steps is covered.

        occlusion(score, xs, window=5)  # (T - 4, B)

    It needs no gradient, so the inputs may be symbols, too. `feature_occlusion` covers single
    features.

    Args:
      score: ``xs -> (...)``, one number for each sequence.
      xs: inputs (T, ..., I), or a pytree of them.
      baseline: what covers the steps, like `xs`; None means zeros.
      window: W, the number of steps to cover at once.

    Returns:
      (T - W + 1, ...): entry t is the score of `xs` minus the score without the steps t to
      t + W - 1. It is computed for one place after another.

    Raises:
      ValueError, TypeError: `baseline` is not like `xs`, or `window` is not an integer from 1 to T.

    References: Zeiler and Fergus, 2014, "Visualizing and understanding convolutional networks".

    Examples:
      >>> score = lambda xs: xs.sum((0, -1))  # (T, B, I) -> (B,)
      >>> xs = jnp.arange(4.0)[:, None, None]
      >>> jaxrnn.diagnostics.occlusion(score, xs, window=2)[:, 0].tolist()
      [1.0, 3.0, 5.0]
    """
    if not callable(score):
        raise TypeError(f"`score` must be a function of the inputs, got {describe(score)}.")
    num_steps = check_sequence(xs)
    check_size("window", window)
    if window > num_steps:
        raise ValueError(f"`window` must be at most T = {num_steps}, got {window}.")
    (xs,) = as_arrays(xs=xs)
    if baseline is None:
        baseline = jax.tree.map(jnp.zeros_like, xs)
    check_carry(baseline, xs, name="baseline", cause="It takes the place of `xs`.")
    steps, whole = jnp.arange(num_steps), score(xs)

    def without(start):
        is_covered = (steps >= start) & (steps < start + window)
        return whole - score(select(is_covered, baseline, xs))

    return jax.lax.map(without, jnp.arange(num_steps - window + 1))
