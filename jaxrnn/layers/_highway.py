"""A layer with a learned gate between its output and its input."""

from typing import NamedTuple

import jax

from jaxrnn._checks import check_flags, check_key, check_params
from jaxrnn._compose import check_layer, check_like_input
from jaxrnn._initializers import Initializer, glorot_uniform
from jaxrnn._masking import blank
from jaxrnn._precision import affine
from jaxrnn._types import Layer, Params


class HighwayParams(NamedTuple):
    layer: Params
    kernel: jax.Array  # (I, I)
    bias: jax.Array  # (I,)


def highway(
    layer: Layer,
    *,
    kernel_init: Initializer = glorot_uniform(),
    bias_init: Initializer = jax.nn.initializers.constant(-1.0),
) -> Layer:
    """A layer with a learned gate between its output and its input.

        t = σ(W x + b)
        y = t layer(x) + (1 - t) x

    The bias starts below zero, so that the gate lets most of the input pass.

    Args:
      layer: one that keeps the shape and dtype of its input.
      kernel_init: draws `kernel` (I, I).
      bias_init: draws `bias` (I,); the deeper the network, the more negative.

    Returns:
      A `Layer` with parameters `HighwayParams` and with the carry of `layer`:
      (T, ..., I) -> (T, ..., I).

    Raises:
      TypeError: `layer` is not a `Layer`, or the input is not floating.
      ValueError: the output of `layer` has another shape than its input.

    References: Srivastava, Greff and Schmidhuber, 2015, "Highway networks".
    """
    check_layer("`layer`", layer)

    def init(key, xs):
        check_key(key)
        layer_key, kernel_key, bias_key = jax.random.split(key, 3)
        layer_params = layer.init(layer_key, xs)
        check_like_input("highway", layer, layer_params, xs)
        features = xs.shape[-1]
        kernel = kernel_init(kernel_key, (features, features), xs.dtype)
        return HighwayParams(layer_params, kernel, bias_init(bias_key, (features,), xs.dtype))

    def init_carry(params, xs):
        check_params(params, HighwayParams)
        return layer.init_carry(params.layer, xs)

    def apply(params, carry, xs, *, mask=None, resets=None, key=None):
        check_params(params, HighwayParams)
        check_like_input("highway", layer, params.layer, xs)
        check_flags("mask", mask, xs)
        xs = blank(mask, xs)
        carry, ys = layer.apply(params.layer, carry, xs, mask=mask, resets=resets, key=key)
        t = jax.nn.sigmoid(affine(xs, params.kernel, params.bias)).astype(ys.dtype)
        return carry, t * ys + (1 - t) * xs

    return Layer(init, init_carry, apply)
