"""Which features of which steps a score depends on, by leaving them out."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_array, check_sequence, check_size, describe
from jaxrnn._core.matching import check_carry


def feature_occlusion(
    score: Callable[[jax.Array], jax.Array],
    xs: jax.Array,
    *,
    baseline: jax.Array | None = None,
    window: int = 1,
    num_features: int = 1,
) -> jax.Array:
    """Occlusion of features: how much a score falls when some features of some steps are covered.

        feature_occlusion(score, xs)  # (T, I, B): every feature of every step
        feature_occlusion(score, xs, window=len(xs))  # (1, I, B): a feature at all steps

    `occlusion` covers all features of a step. This takes I times as many scores.

    Args:
      score: ``xs -> (...)``, one number for each sequence.
      xs: inputs (T, ..., I), one array.
      baseline: what covers the features, like `xs`; None means zeros.
      window: W, the number of steps to cover at once.
      num_features: F, the number of features in a row to cover at once.

    Returns:
      (T - W + 1, I - F + 1, ...): entry (t, i) is the score of `xs` minus the score without the
      features i to i + F - 1 of the steps t to t + W - 1. It is computed for one place after
      another.

    Raises:
      ValueError, TypeError: `xs` is not one array with features, `baseline` is not like it,
        `window` is not an integer from 1 to T, or `num_features` not one from 1 to I.

    References: Zeiler and Fergus, 2014, "Visualizing and understanding convolutional networks".

    Examples:
      >>> import jax.numpy as jnp
      >>> from jaxrnn import diagnostics
      >>> xs = jnp.array([[1.0, 2.0], [3.0, 4.0]])  # T = 2, I = 2
      >>> diagnostics.feature_occlusion(lambda xs: (xs[0, 1] + 2 * xs[1, 0])[None], xs)[..., 0]
      Array([[0., 2.],
             [6., 0.]], dtype=float32)
    """
    if not callable(score):
        raise TypeError(f"`score` must be a function of the inputs, got {describe(score)}.")
    check_array("xs", xs)
    xs = jnp.asarray(xs)
    if xs.ndim < 2:
        raise ValueError(f"`xs` must have time and features, (T, ..., I), got {describe(xs)}.")
    sizes = check_sequence(xs), xs.shape[-1]
    counts = {"window": window, "num_features": num_features}
    for (name, count), size, axis in zip(counts.items(), sizes, "TI", strict=True):
        check_size(name, count)
        if count > size:
            raise ValueError(f"`{name}` must be at most {axis} = {size}, got {count}.")
    baseline = jnp.zeros_like(xs) if baseline is None else baseline
    check_carry(baseline, xs, name="baseline", cause="It takes the place of `xs`.")
    whole = score(xs)

    def covered(start, count, size):
        places = jnp.arange(size)
        return (places >= start) & (places < start + count)

    def without(place):
        step, feature = jnp.unravel_index(place, shape)
        steps = covered(step, window, sizes[0]).reshape(-1, *(1,) * (xs.ndim - 1))
        is_covered = steps & covered(feature, num_features, sizes[1])
        return whole - score(jnp.where(is_covered, baseline, xs))

    shape = sizes[0] - window + 1, sizes[1] - num_features + 1
    falls = jax.lax.map(without, jnp.arange(shape[0] * shape[1]))
    return falls.reshape(*shape, *falls.shape[1:])
