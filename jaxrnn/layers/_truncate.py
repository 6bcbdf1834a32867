"""Backpropagation through a bounded number of steps."""

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_sequence, check_size
from jaxrnn._core.context import Handed
from jaxrnn._core.entry import constructor
from jaxrnn._core.masking import select
from jaxrnn._core.types import Layer, check_layer
from jaxrnn.layers._chunks import carry_before, scan_chunks
from jaxrnn.layers._compose import check_keeps_time


@constructor
def truncate(layer: Layer, every: int) -> Layer:
    """`layer`, with no gradient from one stretch of `every` steps to the stretch before.

    Values are those of `layer`; the carry goes on from stretch to stretch, its gradient does not.
    Stretches are counted from the first step of each call. A sequence that has no real step in a
    stretch passes it as if it were not there, its gradient too. An initial carry, such as a
    learned one, gets its gradient from the first stretch with a real step.

    Args:
      layer: one that can stream: it is applied to one stretch after the other.
      every: the steps of a stretch. Where it does not divide T, the last one is shorter.

    Returns:
      A `Layer` with the parameters and the carry of `layer`.

    Raises:
      ValueError, TypeError: `every` is not a positive integer, or `layer` is not a `Layer`; a derivative
        is taken where `jax.export` leaves T open, for stretches could not be counted.

    References: Williams and Peng, 1990, "An efficient gradient-based algorithm for on-line training
    of recurrent network trajectories".
    """
    check_layer("`layer`", layer)
    check_size("every", every)

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        length = check_sequence(xs)
        if jax.export.is_symbolic_dim(length):
            return _forward(layer)(params, carry, xs, mask, resets, key, context.value)
        check_keeps_time("truncate", layer, params, xs)
        carry = carry_before(layer, params, carry, xs, key, context)

        def run(state, stretch):
            carry, has_begun = state
            xs, mask, resets = stretch
            steps = jnp.array(True) if mask is None else mask.any(axis=0)
            carry = select(has_begun & steps, jax.lax.stop_gradient(carry), carry)
            options = {"mask": mask, "resets": resets, "key": key, "context": context}
            carry, ys = layer.apply(params, carry, xs, **options)
            return (carry, has_begun | steps), ys

        begun = jnp.zeros(() if mask is None else mask.shape[1:], bool)
        (carry, _), ys = scan_chunks(run, (carry, begun), (xs, mask, resets), every)
        return carry, ys

    return layer._replace(apply=apply)


def _forward(layer):
    """`layer.apply` with positional arguments, which refuses to be differentiated."""

    @jax.custom_jvp
    def run(params, carry, xs, mask, resets, key, context):
        options = {"mask": mask, "resets": resets, "key": key}
        return layer.apply(params, carry, xs, **options, context=Handed(context, []))

    @run.defjvp
    def refuse(primals, tangents):
        raise ValueError(
            "`truncate` cannot count its stretches where `jax.export` leaves T open, so there its "
            "derivative cannot be exported. Export it with a fixed T, or without derivatives "
            "(`vjp_order=0`)."
        )

    return run
