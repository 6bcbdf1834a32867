"""Weights as a direction and a length."""

import jax.numpy as jnp

from jaxrnn._checks import check_params
from jaxrnn._compose import check_layer
from jaxrnn._named import WeightNormParams, take_named
from jaxrnn._precision import sum_dtype
from jaxrnn._types import Layer


def weight_norm(layer: Layer) -> Layer:
    """Learns the length of each column of a kernel apart from its direction.

        W = g V / |V|

    |V| is the length of a column, over the inputs of one unit. It is computed once for a sequence.
    Training starts from the kernels that `layer` draws: g = |V|.

    Args:
      layer: one with parameters named ``kernel`` or ``recurrent_kernel``, at any depth.

    Returns:
      A `Layer` with parameters `WeightNormParams` and the carry of `layer`.

    Raises:
      ValueError, TypeError: `layer` is no layer, or none of its parameters has such a name.

    References: Salimans and Kingma, 2016, "Weight normalization: a simple reparameterization to
    accelerate training of deep neural networks".
    """
    check_layer("`layer`", layer)

    def init(key, xs):
        params = layer.init(key, xs)
        kernels, _ = take_named(params, _NAMES)
        gains = {at: _lengths(kernel).astype(kernel.dtype) for at, kernel in kernels.items()}
        return WeightNormParams(params, gains)

    def init_carry(params, xs):
        return layer.init_carry(weights(params), xs)

    def apply(params, carry, xs, *, mask=None, resets=None, key=None):
        return layer.apply(weights(params), carry, xs, mask=mask, resets=resets, key=key)

    def weights(params):
        check_params(params, WeightNormParams)
        kernels, put = take_named(params.params, _NAMES)
        if set(params.gains) != set(kernels):
            raise ValueError(
                f"`params.gains` must be for {sorted(kernels)}, got {sorted(params.gains)}. Were "
                "they made by the `init` of another layer?"
            )
        return put({at: _scaled(kernel, params.gains[at]) for at, kernel in kernels.items()})

    return Layer(init, init_carry, apply)


def _scaled(kernel, gain):
    wide = sum_dtype(kernel.dtype)
    return (kernel.astype(wide) * (gain.astype(wide) / _lengths(kernel))).astype(kernel.dtype)


def _lengths(kernel):
    """The length of each column, (I, N) -> (N,); the least number above 0 for a column of zeros."""
    squares = jnp.sum(kernel.astype(sum_dtype(kernel.dtype)) ** 2, axis=-2)
    return jnp.sqrt(jnp.maximum(squares, jnp.finfo(squares.dtype).tiny))


_NAMES = ("kernel", "recurrent_kernel")
