"""Which inputs a score depends on, by gradients."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import check_sequence, check_size, describe
from jaxrnn._core.matching import check_carry
from jaxrnn._core.numerics import is_floating
from jaxrnn.engines._unroll import as_arrays


class IntegratedGradients(NamedTuple):
    """What each input adds to a score, from a baseline to the input."""

    attributions: Any  # like xs
    gap: jax.Array  # (...), the difference of the scores that the attributions leave unexplained


def saliency(score: Callable[[Any], jax.Array], xs: Any) -> Any:
    """Saliency: the gradient of a score with respect to each input, over steps and features.

        def score(xs):
            return model.apply(params, None, xs)[1][-1, ..., label]  # (B,)

        jnp.abs(saliency(score, xs)).sum(-1)  # (T, B): which steps matter

    Symbols have no gradient. Embed them first, and let the score begin at their vectors:

        vectors = params[0].embedding[symbols]  # (T, B, F)
        rest = jaxrnn.stack(*layers[1:])
        saliency(lambda vectors: rest.apply(params[1:], None, vectors)[1][-1, ..., 0], vectors)

    Args:
      score: ``xs -> (...)``, one number for each sequence, which depends on this sequence alone.
      xs: floating inputs (T, ..., I), or a pytree of them.

    Returns:
      The gradient, like `xs`. Times `xs`, it is what each input adds, to first order.

    Raises:
      TypeError: `xs` are not floating, or `score` is not a function of real numbers.

    References: Simonyan, Vedaldi and Zisserman, 2014, "Deep inside convolutional networks:
    visualising image classification models and saliency maps".

    Examples:
      >>> score = lambda xs: 2 * xs[1, :, 0] - xs[2, :, 1]  # (T, B, I) -> (B,)
      >>> gradient = jaxrnn.diagnostics.saliency(score, jnp.zeros((3, 4, 2)))
      >>> gradient[:, 0].tolist()
      [[0.0, 0.0], [2.0, 0.0], [0.0, -1.0]]
    """
    xs = _checked(score, xs)
    return jax.grad(lambda xs: _total(score, xs))(xs)


def integrated_gradients(
    score: Callable[[Any], jax.Array],
    xs: Any,
    *,
    baseline: Any = None,
    num_points: int = 32,
) -> IntegratedGradients:
    """Integrated gradients: what each input adds to a score, beginning at a baseline.

        (x - x₀) ∫₀¹ ∂score/∂x (x₀ + α (x - x₀)) dα

    The attributions add up to ``score(xs) - score(baseline)``, unlike plain gradients, which are
    small where the score is saturated. The integral is computed by Gauss-Legendre quadrature.

        found = integrated_gradients(score, xs)
        found.attributions.sum(-1)  # (T, B): by step
        found.gap  # (B,), near 0, else take more points

    For symbols, begin at their vectors, as in `saliency`.

    Args:
      score: ``xs -> (...)``, one number for each sequence, which depends on this sequence alone.
      xs: floating inputs (T, ..., I), or a pytree of them.
      baseline: what stands for no input, like `xs`; None means zeros.
      num_points: the number of gradients, computed one after another.

    Returns:
      `IntegratedGradients`.

    Raises:
      ValueError, TypeError: `xs` are not floating, `baseline` is not like them, `num_points` is not
        a positive integer, or `score` is not a function of real numbers.

    References: Sundararajan, Taly and Yan, 2017, "Axiomatic attribution for deep networks".

    Examples:
      >>> score = lambda xs: jnp.sum(xs**3, axis=(0, -1))  # (T, B, I) -> (B,)
      >>> xs = jnp.arange(3.0)[:, None, None]
      >>> found = jaxrnn.diagnostics.integrated_gradients(score, xs)
      >>> found.attributions[:, 0, 0].round(3).tolist()
      [0.0, 1.0, 8.0]
    """
    xs = _checked(score, xs)
    check_size("num_points", num_points)
    if baseline is None:
        baseline = jax.tree.map(jnp.zeros_like, xs)
    check_carry(baseline, xs, name="baseline", cause="It takes the place of `xs`.")
    points, weights = np.polynomial.legendre.leggauss(num_points)
    difference = jax.tree.map(lambda x, b: x - b, xs, baseline)

    def at(total, point):
        alpha, weight = point
        between = jax.tree.map(lambda b, d: b + alpha.astype(d.dtype) * d, baseline, difference)
        grads = jax.grad(lambda xs: _total(score, xs))(between)
        return jax.tree.map(lambda t, g: t + weight.astype(g.dtype) * g, total, grads), None

    zeros = jax.tree.map(jnp.zeros_like, xs)
    path = jnp.asarray((points + 1) / 2), jnp.asarray(weights / 2)
    mean, _ = jax.lax.scan(at, zeros, path)
    attributions = jax.tree.map(jnp.multiply, difference, mean)
    change = score(xs) - score(baseline)
    return IntegratedGradients(attributions, change - _sums(attributions, change))


def _sums(attributions, like):
    """The sum over steps and features, for each sequence."""
    lead = like.ndim

    def add(leaf):
        rows = jnp.moveaxis(leaf, 0, lead)  # (..., T, I)
        return rows.reshape(*rows.shape[:lead], -1).sum(axis=-1).astype(like.dtype)

    return sum(map(add, jax.tree.leaves(attributions)))


def _total(score, xs):
    return score(xs).sum()


def _checked(score, xs):
    """`xs` as arrays; raises unless they are floating and `score` gives real numbers for them."""
    if not callable(score):
        raise TypeError(f"`score` must be a function of the inputs, got {describe(score)}.")
    check_sequence(xs)
    (xs,) = as_arrays(xs=xs)
    for leaf in jax.tree.leaves(xs):
        if not is_floating(leaf):
            raise TypeError(
                f"`xs` must be floating, got {describe(leaf)}. Embed symbols first, and begin at "
                "their vectors: `params.embedding[symbols]`."
            )
    out = jax.eval_shape(score, xs)
    if not hasattr(out, "dtype") or not jnp.issubdtype(out.dtype, jnp.floating):
        raise TypeError(f"`score` must return one array of real numbers, got {describe(out)}.")
    return xs
