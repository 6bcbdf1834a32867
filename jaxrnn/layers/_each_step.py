"""Shared by layers that do the same at every time step and carry nothing from step to step."""

from collections.abc import Callable

import jax

from jaxrnn._core.checks import check_features, example
from jaxrnn._core.flags import check_flags_fit
from jaxrnn._core.masking import zero_where_masked
from jaxrnn._core.matching import check_drawn, check_no_carry
from jaxrnn._core.memo import shape_of
from jaxrnn._core.timed import on_features
from jaxrnn._core.types import Layer


def at_each_step(maker: str, draw_params: Callable, compute: Callable) -> Layer:
    """A layer without a carry whose outputs have the dtype of its inputs.

    Padding is zeroed before `compute` reads it, and in what it returns.

    Args:
      maker: the call that makes the layer, for error messages.
      draw_params: ``(key, x) -> params``, for an example step x.
      compute: ``(params, xs) -> ys``, in the dtype of the sums; xs is (T, ..., I).
    """

    def init(key, xs):
        x = example(xs)
        check_features(x)
        return draw_params(key, x)

    def init_carry(params, xs):
        return ()

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        check_features(example(xs))
        check_drawn(params, init, shape_of(xs), maker)
        check_no_carry(carry)
        check_flags_fit("mask", mask, jax.ShapeDtypeStruct(xs.shape[1:-1], xs.dtype))
        ys = compute(params, zero_where_masked(mask, xs)).astype(shape_of(xs).dtype)
        return (), zero_where_masked(mask, ys)

    return on_features(Layer(init, init_carry, apply))
