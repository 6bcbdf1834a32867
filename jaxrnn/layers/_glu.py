"""Gated linear units."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.drawing import draw
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import affine, sum_dtype
from jaxrnn._core.types import Layer
from jaxrnn.activations import Activation
from jaxrnn.initializers import Initializer, glorot_uniform
from jaxrnn.layers._each_step import at_each_step


class GLUParams(NamedTuple):
    kernel: jax.Array  # (I, 2F), values, then gates
    bias: jax.Array | None  # (2F,); None without a bias


@constructor
def glu(
    features: int,
    *,
    activation: Activation | None = None,
    kernel_init: Initializer = glorot_uniform(2),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Layer:
    """Gated linear unit at every time step (GLU).

        z = φ(x)
        y = (W₁ z + b₁) σ(W₂ z + b₂)

    Args:
      features: F.
      activation: element-wise, φ; None leaves the input as it is.
      kernel_init: draws `kernel` (I, 2F).
      bias_init: draws `bias` (2F,).
      use_bias: whether there are biases b₁ and b₂; without them, `bias` is None.

    Returns:
      A `Layer` with parameters `GLUParams` and no carry, (): (T, ..., I) -> (T, ..., F), in the
      dtype of its input.

    Raises:
      ValueError, TypeError: `features` is not a positive integer, `activation` is not a function,
        or `use_bias` is not a bool.

    References: Dauphin, Fan, Auli and Grangier, 2017, "Language modeling with gated convolutional
    networks".

    Examples:
      >>> layer = jaxrnn.glu(1)
      >>> xs = jnp.array([[2.0, 50.0], [2.0, -50.0]])  # (T, I)
      >>> params = jaxrnn.layers.GLUParams(jnp.eye(2), jnp.zeros(2))  # a value and its gate
      >>> _, ys = layer.apply(params, (), xs)
      >>> ys.round(3).ravel().tolist()  # open, closed
      [2.0, 0.0]
    """
    check_size("features", features)
    check_bool("use_bias", use_bias)
    if activation is not None and not callable(activation):
        raise TypeError(
            f"`activation` must be None or a function such as jax.nn.gelu, got {activation!r}."
        )

    def draw_params(key, x):
        kernel_key, bias_key = jax.random.split(key)
        return GLUParams(
            draw("kernel", kernel_init, kernel_key, (x.shape[-1], 2 * features), x.dtype),
            draw("bias", bias_init if use_bias else None, bias_key, (2 * features,), x.dtype),
        )

    def compute(params, xs):
        if activation is not None:
            xs = activation(xs.astype(sum_dtype(xs.dtype))).astype(params.kernel.dtype)
        values, gates = jnp.split(affine(xs, *params), 2, axis=-1)
        return values * jax.nn.sigmoid(gates)

    return at_each_step(f"glu({features})", draw_params, compute)
