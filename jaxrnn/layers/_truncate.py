"""Backpropagation through a bounded number of steps."""

import jax
import jax.numpy as jnp

from jaxrnn._checks import check_sequence, check_size
from jaxrnn._chunks import carry_before, scan_chunks
from jaxrnn._compose import check_layer
from jaxrnn._masking import select
from jaxrnn._types import Layer


def truncate(layer: Layer, every: int) -> Layer:
    """`layer`, with no gradient from one stretch of `every` steps to the stretch before.

    Values are those of `layer`; the carry goes on from stretch to stretch, its gradient does not.
    Stretches are counted from the first step of each call. The gradient of an initial carry, one
    that is learned for example, is that of the first stretch.

    Args:
      layer: one that can stream: it is applied to one stretch after the other.
      every: the steps of a stretch. Where it does not divide T, the last one is shorter.

    Returns:
      A `Layer` with the parameters and the carry of `layer`.

    Raises:
      ValueError, TypeError: `every` is not a positive integer, or `layer` is no layer.

    References: Williams and Peng, 1990, "An efficient gradient-based algorithm for on-line training
    of recurrent network trajectories".
    """
    check_layer("`layer`", layer)
    check_size("every", every)

    def apply(params, carry, xs, *, mask=None, resets=None, key=None):
        check_sequence(xs)
        carry = carry_before(layer, params, carry, xs, key)

        def run(state, stretch):
            carry, is_first = state
            xs, mask, resets = stretch
            carry = select(is_first, carry, jax.lax.stop_gradient(carry))
            carry, ys = layer.apply(params, carry, xs, mask=mask, resets=resets, key=key)
            return (carry, jnp.array(False)), ys

        start = carry, jnp.array(True)
        (carry, _), ys = scan_chunks(run, start, (xs, mask, resets), every)
        return carry, ys

    return layer._replace(apply=apply)
