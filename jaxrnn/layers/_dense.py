"""The same affine map at every time step."""

from typing import NamedTuple

import jax

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.drawing import draw
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import affine
from jaxrnn._core.types import Layer
from jaxrnn.initializers import Initializer, glorot_uniform
from jaxrnn.layers._each_step import at_each_step


class DenseParams(NamedTuple):
    kernel: jax.Array  # (I, F)
    bias: jax.Array | None  # (F,); None without a bias


@constructor
def dense(
    features: int,
    *,
    kernel_init: Initializer = glorot_uniform(),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Layer:
    """The same affine map at every time step: ``y = x @ kernel + bias``.

    Args:
      features: F.
      kernel_init: draws `kernel` (I, F).
      bias_init: draws `bias` (F,).
      use_bias: whether there is a bias; without one, `bias` is None.

    Returns:
      A `Layer` with parameters `DenseParams` and no carry, (): (T, ..., I) -> (T, ..., F), in the
      dtype of its input.

    Raises:
      ValueError, TypeError: `features` is not a positive integer, or `use_bias` is not a bool.

    Examples:
      >>> layer = jaxrnn.dense(3, use_bias=False)
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = layer.init(jax.random.key(0), xs)
      >>> params.kernel.shape, params.bias
      ((4, 3), None)
      >>> _, ys = layer.apply(params, None, xs)
      >>> bool(jnp.allclose(ys[2, 1], params.kernel.sum(axis=0), atol=1e-2))
      True
    """
    check_size("features", features)
    check_bool("use_bias", use_bias)

    def draw_params(key, x):
        kernel_key, bias_key = jax.random.split(key)
        return DenseParams(
            draw("kernel", kernel_init, kernel_key, (x.shape[-1], features), x.dtype),
            draw("bias", bias_init if use_bias else None, bias_key, (features,), x.dtype),
        )

    def compute(params, xs):
        return affine(xs, *params)

    return at_each_step(f"dense({features})", draw_params, compute)
