"""Noise on the initial carry."""

import math
import numbers

import jax

from jaxrnn._core.checks import describe, is_traced_scalar
from jaxrnn._core.entry import constructor
from jaxrnn._core.noise import in_dtype, renew_state_dropout
from jaxrnn._core.numerics import is_floating
from jaxrnn._core.types import Layer, check_layer
from jaxrnn.layers._compose import fold_key


@constructor
def noisy_carry(layer: Layer, stddev: float) -> Layer:
    """Adds Gaussian noise to the initial carry, so that a model does not rely on its exact value.

    Noise is drawn in a call with a key and without a carry. A given carry is used unchanged, and a
    reset restores the initial carry without noise.

    Args:
      layer: any layer.
      stddev: the standard deviation, 0 or more, for every floating leaf.

    Returns:
      A `Layer` with the parameters and the carry of `layer`.

    Raises:
      ValueError, TypeError: `stddev` is not a number of 0 or more, or `layer` is not a `Layer`.

    References: Zimmermann, Tietz and Grothmann, 2012, "Forecasting with recurrent neural networks:
    12 tricks".

    Examples:
      >>> layer = jaxrnn.noisy_carry(jaxrnn.rnn(jaxrnn.lstm(8)), 0.1)
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I), two equal sequences
      >>> params = layer.init(jax.random.key(0), xs)
      >>> _, ys = layer.apply(params, None, xs)
      >>> _, noisy = layer.apply(params, None, xs, key=jax.random.key(1))
      >>> [bool(jnp.allclose(y[:, 0], y[:, 1])) for y in (ys, noisy)]
      [True, False]
    """
    check_layer("`layer`", layer)
    stddev = _check_deviation(stddev)

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        if carry is None and key is not None:
            carry = _with_noise(layer.init_carry(params, xs), stddev, fold_key(key, 1))
        options = {"mask": mask, "resets": resets, "context": context}
        return layer.apply(params, carry, xs, key=fold_key(key, 0), **options)

    return layer._replace(apply=apply)


def _check_deviation(stddev):
    if is_traced_scalar(stddev):
        return stddev
    if not isinstance(stddev, numbers.Real):
        raise TypeError(f"`stddev` must be a number of 0 or more, got {describe(stddev)}.")
    if not 0 <= stddev < math.inf:
        raise ValueError(f"`stddev` must be a finite number of 0 or more, got {stddev}.")
    return float(stddev)


def _with_noise(carry, stddev, key):
    def add(i, leaf):
        if not is_floating(leaf):
            return leaf
        at = jax.random.fold_in(key, i)
        return leaf + in_dtype(stddev, leaf.dtype) * jax.random.normal(at, leaf.shape, leaf.dtype)

    leaves, structure = jax.tree.flatten(carry)
    noisy = structure.unflatten(list(map(add, range(len(leaves)), leaves)))
    return renew_state_dropout(noisy)
