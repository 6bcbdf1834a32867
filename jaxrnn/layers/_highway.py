"""Highway connections."""

from typing import NamedTuple

import jax

from jaxrnn._core.checks import check_params
from jaxrnn._core.drawing import draw
from jaxrnn._core.entry import constructor
from jaxrnn._core.masking import zero_where_masked
from jaxrnn._core.matching import check_drawn
from jaxrnn._core.memo import shape_of
from jaxrnn._core.numerics import affine
from jaxrnn._core.timed import features
from jaxrnn._core.types import Layer, Params, check_layer
from jaxrnn.initializers import Initializer, glorot_uniform
from jaxrnn.layers._compose import check_like_input


class HighwayParams(NamedTuple):
    layer: Params
    kernel: jax.Array  # (I, I)
    bias: jax.Array  # (I,)


@constructor
def highway(
    layer: Layer,
    *,
    kernel_init: Initializer = glorot_uniform(),
    bias_init: Initializer = jax.nn.initializers.constant(-1.0),
) -> Layer:
    """Highway layer: a learned gate between the output of a layer and its input.

        t = σ(W x + b)
        y = t layer(x) + (1 - t) x

    The bias starts negative, so that most of the input passes at first.

    Args:
      layer: a layer whose output has the shape and dtype of its input.
      kernel_init: draws `kernel` (I, I).
      bias_init: draws `bias` (I,); the deeper the network, the more negative.

    Returns:
      A `Layer` with parameters `HighwayParams` and with the carry of `layer`:
      (T, ..., I) -> (T, ..., I).

    Raises:
      TypeError: `layer` is not a `Layer`, or the input is not floating.
      ValueError: the output of `layer` has another shape or dtype than its input.

    References: Srivastava, Greff and Schmidhuber, 2015, "Highway networks".

    Examples:
      >>> closed = jax.nn.initializers.constant(-50.0)
      >>> layer = jaxrnn.highway(jaxrnn.dense(4), bias_init=closed)
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = layer.init(jax.random.key(0), xs)
      >>> _, ys = layer.apply(params, None, xs)
      >>> bool(jnp.allclose(ys, xs))  # all of the input passes
      True
    """
    check_layer("`layer`", layer)

    def init(key, xs):
        layer_key, *keys = jax.random.split(key, 3)
        layer_params = layer.init(layer_key, xs)
        check_like_input("highway", layer, layer_params, xs)
        return HighwayParams(layer_params, **draw_gate(keys, features(xs)))

    def draw_gate(keys, xs):
        features = xs.shape[-1]
        return {
            "kernel": draw("kernel", kernel_init, keys[0], (features, features), xs.dtype),
            "bias": draw("bias", bias_init, keys[1], (features,), xs.dtype),
        }

    def draw_gate_alone(key, xs):
        return draw_gate(jax.random.split(key), xs)

    def init_carry(params, xs):
        check_params(params, HighwayParams)
        return layer.init_carry(params.layer, xs)

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        check_params(params, HighwayParams)
        check_like_input("highway", layer, params.layer, xs)
        gate = {"kernel": params.kernel, "bias": params.bias}
        check_drawn(gate, draw_gate_alone, shape_of(features(xs)), f"highway({layer!r})")
        xs = zero_where_masked(mask, xs)
        options = {"mask": mask, "resets": resets, "key": key, "context": context}
        carry, ys = layer.apply(params.layer, carry, xs, **options)
        xs = features(xs)
        t = jax.nn.sigmoid(affine(xs, params.kernel, params.bias)).astype(ys.dtype)
        return carry, t * ys + (1 - t) * xs

    return Layer(init, init_carry, apply)
