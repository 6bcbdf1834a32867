"""The same affine map at every time step."""

from typing import NamedTuple

import jax

from jaxrnn._core.checks import (
    check_bool,
    check_features,
    check_flags_fit,
    check_size,
    example,
)
from jaxrnn._core.drawing import draw
from jaxrnn._core.entry import constructor
from jaxrnn._core.masking import zero_where_masked
from jaxrnn._core.matching import check_drawn, check_no_carry
from jaxrnn._core.memo import shape_of
from jaxrnn._core.numerics import affine
from jaxrnn._core.timed import on_features
from jaxrnn._core.types import Layer
from jaxrnn.initializers import Initializer, glorot_uniform


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
    """
    check_size("features", features)
    check_bool("use_bias", use_bias)

    def init(key, xs):
        x = example(xs)
        check_features(x)
        kernel_key, bias_key = jax.random.split(key)
        return DenseParams(
            draw("kernel", kernel_init, kernel_key, (x.shape[-1], features), x.dtype),
            draw("bias", bias_init if use_bias else None, bias_key, (features,), x.dtype),
        )

    def init_carry(params, xs):
        return ()

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        check_features(example(xs))
        check_drawn(params, init, shape_of(xs), f"dense({features})")
        check_no_carry(carry)
        check_flags_fit("mask", mask, jax.ShapeDtypeStruct(xs.shape[1:-1], xs.dtype))
        ys = affine(zero_where_masked(mask, xs), params.kernel, params.bias).astype(
            params.kernel.dtype
        )
        return (), zero_where_masked(mask, ys)

    return on_features(Layer(init, init_carry, apply))
