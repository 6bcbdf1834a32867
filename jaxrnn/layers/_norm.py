"""Normalization of the features of every time step: layer normalization and RMS normalization."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_positive
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import add_bias, over_rows, sum_dtype
from jaxrnn._core.types import Layer
from jaxrnn.layers._each_step import at_each_step


class LayerNormParams(NamedTuple):
    gain: jax.Array  # (I,)
    bias: jax.Array | None  # (I,); None without a bias


class RMSNormParams(NamedTuple):
    gain: jax.Array  # (I,)


@constructor
def layer_norm(*, use_bias: bool = True, epsilon: float = 1e-5) -> Layer:
    """Layer normalization: features of mean 0 and variance 1 at every time step, scaled by a gain.

        y = α (x - mean x) / √(var x + ε) + b

    Mean and variance are over the features of one step of one sequence, so neither the rest of the
    batch nor other steps matter. α starts from ones and b from zeros. Cells that normalize inside
    their step are `jaxrnn.layer_norm_lstm` and `jaxrnn.layer_norm_gru`.

    Args:
      use_bias: whether there is a bias b; without one, `bias` is None.
      epsilon: ε, added to the variance, so that equal features do not divide by zero.

    Returns:
      A `Layer` with parameters `LayerNormParams` and no carry, (): (T, ..., I) -> (T, ..., I), in
      the dtype of its input. Narrow dtypes are summed in float32.

    Raises:
      ValueError, TypeError: `use_bias` is not a bool, or `epsilon` is not above 0.

    References: Ba, Kiros and Hinton, 2016, "Layer normalization".

    Examples:
      >>> layer, xs = jaxrnn.layer_norm(), jnp.array([[1.0, 3.0], [10.0, 30.0]])  # (T, I)
      >>> params = layer.init(jax.random.key(0), xs)
      >>> params.gain.shape, params.bias.shape
      ((2,), (2,))
      >>> layer.apply(params, None, xs)[1].round(3).tolist()
      [[-1.0, 1.0], [-1.0, 1.0]]
    """
    check_bool("use_bias", use_bias)
    epsilon = check_positive("epsilon", epsilon)

    def draw_params(key, x):
        ones, zeros = (fill(x.shape[-1:], x.dtype) for fill in (jnp.ones, jnp.zeros))
        return LayerNormParams(ones, zeros if use_bias else None)

    def compute(params, xs):
        wide = xs.astype(sum_dtype(xs.dtype))
        centered = wide - jnp.mean(wide, axis=-1, keepdims=True)
        scaled = _over_root_mean_square(centered, epsilon) * over_rows(params.gain, centered)
        return add_bias(scaled, params.bias)

    return at_each_step("layer_norm()", draw_params, compute)


@constructor
def rms_norm(*, epsilon: float = 1e-5) -> Layer:
    """Root mean square normalization: `layer_norm` without a mean and a bias (RMSNorm).

        y = α x / √(mean x² + ε)

    Args:
      epsilon: ε, added to the mean of the squares, so that zeros do not divide by zero.

    Returns:
      A `Layer` with parameters `RMSNormParams` and no carry, (): (T, ..., I) -> (T, ..., I), in the
      dtype of its input. Narrow dtypes are summed in float32.

    Raises:
      ValueError, TypeError: `epsilon` is not above 0.

    References: Zhang and Sennrich, 2019, "Root mean square layer normalization".

    Examples:
      >>> layer, xs = jaxrnn.rms_norm(), jnp.array([[5.0, 5.0], [50.0, -50.0]])  # (T, I)
      >>> params = layer.init(jax.random.key(0), xs)
      >>> layer.apply(params, None, xs)[1].round(3).tolist()  # the mean stays
      [[1.0, 1.0], [1.0, -1.0]]
    """
    epsilon = check_positive("epsilon", epsilon)

    def draw_params(key, x):
        return RMSNormParams(jnp.ones(x.shape[-1:], x.dtype))

    def compute(params, xs):
        wide = xs.astype(sum_dtype(xs.dtype))
        return _over_root_mean_square(wide, epsilon) * over_rows(params.gain, wide)

    return at_each_step("rms_norm()", draw_params, compute)


def _over_root_mean_square(x, epsilon):
    """x / √(mean x² + ε) over the last axis."""
    return x * jax.lax.rsqrt(jnp.mean(x**2, axis=-1, keepdims=True) + epsilon)
