"""Evaluation over many batches: the mean over all their real steps."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from jaxrnn._core.checks import describe


def evaluate(score: Callable[[Any, Any], tuple[Any, Any]], params: Any, batches: Iterable) -> Any:
    """Scores over many batches: the mean over all real steps, not the mean of means.

    Batches of variable-length sequences have different numbers of real steps. Each mean is weighted
    by the number of values it was taken over, so the result is the score of all sequences in one
    batch, however they are grouped. The device is read once, after the last batch.

    Args:
      score: ``(params, batch) -> (means, weights)``. `means` is a tree of means, such as
        ``{"loss": loss, "accuracy": accuracy}``, each a scalar or an array whose shape is the same
        for all batches. `weights` says how many values a mean was taken over, ``batch.mask.sum()``
        for steps: one number for all means, or a tree of numbers like `means`; or an array in the
        shape of a mean, for instance a count for each class. Wrap it in `jax.jit` once, outside the
        loop over epochs: it then compiles once per shape of a batch.
      params: passed to `score`.
      batches: an iterable of batches, such as `jaxrnn.data.minibatches` without a seed.

    Returns:
      The tree of means, in float64 NumPy. A mean is NaN where its weights sum to 0. A perplexity is
      the exponential of a mean: take it of the result.

    Raises:
      ValueError, TypeError: there is no batch; `score` does not return a pair of means and weights;
        the means of two batches differ in structure or shape; or a weight is negative or NaN.

    Examples:
      >>> def score(params, batch):
      ...     return {"loss": jnp.mean(batch)}, batch.size
      >>> batches = [jnp.ones(3), jnp.full(1, 5.0)]  # 3 steps, then 1
      >>> float(jaxrnn.training.evaluate(score, None, batches)["loss"])
      2.0
    """
    if not callable(score):
        raise TypeError(
            "`score` must be a function `(params, batch) -> (means, weights)`, got "
            f"{describe(score)}."
        )
    if not isinstance(batches, Iterable):
        raise TypeError(f"`batches` must be an iterable of batches, got {describe(batches)}.")
    results = [_checked(score(params, batch)) for batch in batches]
    if not results:
        raise ValueError(
            "`batches` must hold at least one batch, got none. A generator can be read only once: "
            "turn it into a list to read it again."
        )
    structure = results[0][0]
    for i, (other, _) in enumerate(results):
        if other != structure:
            raise ValueError(
                f"`score` must return means of one structure, got {structure} for batch 0 and "
                f"{other} for batch {i}."
            )
    columns = zip(*jax.device_get([pairs for _, pairs in results]), strict=True)
    return structure.unflatten([_pooled(column) for column in columns])


def _checked(result):
    """The structure of the means, and a pair (mean, weight) for each."""
    if type(result) is not tuple or len(result) != 2:
        raise TypeError(
            f"`score` must return a pair (means, weights), got {describe(result)}. The weight of a "
            "mean over real steps is `mask.sum()`."
        )
    means, weights = result
    leaves, structure = jax.tree.flatten(means)
    try:
        weights = jax.tree.leaves(jax.tree.broadcast(weights, means))
    except ValueError as error:
        raise ValueError(
            "`score` must return one weight for all its means, or a tree of weights like the "
            f"means, {structure}, got {jax.tree.structure(weights)}."
        ) from error
    return structure, list(zip(leaves, weights, strict=True))


def _pooled(pairs):
    """The weighted mean of pairs (mean, weight), one for each batch."""
    means, weights = (
        [np.asarray(x, np.float64) for x in column] for column in zip(*pairs, strict=True)
    )
    shape = means[0].shape
    for i, (mean, weight) in enumerate(zip(means, weights, strict=True)):
        if mean.shape != shape or weight.shape not in ((), shape):
            raise ValueError(
                "`score` must return means whose shape does not depend on the batch, and for each "
                f"a number as its weight, or an array of the same shape: got means {shape} for "
                f"batch 0, means {mean.shape} with weights {weight.shape} for batch {i}."
            )
        if not (weight >= 0).all():
            raise ValueError(
                f"`score` must return weights of 0 or more, got {weight} for batch {i}."
            )
    weights = np.stack([np.broadcast_to(weight, shape) for weight in weights])
    # The mean of no values may be NaN: it does not count.
    products = np.multiply(means, weights, where=weights > 0, out=np.zeros_like(weights))
    with np.errstate(invalid="ignore"):
        return products.sum(axis=0) / weights.sum(axis=0)
