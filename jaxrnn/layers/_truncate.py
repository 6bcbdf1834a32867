"""Truncated backpropagation through time."""

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_sequence, check_size
from jaxrnn._core.context import Handed, handed
from jaxrnn._core.entry import constructor
from jaxrnn._core.loop import varying_like
from jaxrnn._core.masking import select, zero_where_masked
from jaxrnn._core.types import Layer, check_layer
from jaxrnn.layers._chunks import as_one_program, carry_before, scan_chunks
from jaxrnn.layers._compose import check_keeps_time


@constructor
def truncate(layer: Layer, every: int) -> Layer:
    """Truncated backpropagation through time: blocks the gradient of the carry periodically.

    No gradient flows from one stretch of `every` steps to the stretch before. Values do not change:
    the carry passes from stretch to stretch, and only its gradient does not. Stretches are counted
    from the first step of each call. If a sequence has only padding in a stretch, its carry and its
    gradient pass through. An initial carry, such as a learned one, gets its gradient from the
    first stretch with a real step.

    Args:
      layer: a layer that can stream, because it is applied stretch by stretch.
      every: the number of steps per stretch. If it does not divide T, the last stretch is shorter.

    Returns:
      A `Layer` with the parameters and the carry of `layer`.

    Raises:
      ValueError, TypeError: `every` is not a positive integer, or `layer` is not a `Layer`; or
        a derivative is taken while `jax.export` leaves T symbolic, so stretches cannot be counted.

    References: Williams and Peng, 1990, "An efficient gradient-based algorithm for on-line training
    of recurrent network trajectories".

    Examples:
      >>> layer = jaxrnn.truncate(jaxrnn.rnn(jaxrnn.elman(1, jax.nn.relu)), 3)
      >>> params = jaxrnn.cells.ElmanParams(jnp.ones((1, 1)), jnp.ones((1, 1)), jnp.zeros(1))
      >>> def last(xs):  # a running sum
      ...     return layer.apply(params, None, xs)[1][-1, 0]
      >>> jax.grad(last)(jnp.ones((5, 1))).ravel().tolist()
      [0.0, 0.0, 0.0, 1.0, 1.0]
    """
    check_layer("`layer`", layer)
    check_size("every", every)

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        length = check_sequence(xs)
        if jax.export.is_symbolic_dim(length):
            return _forward(layer)(params, carry, xs, mask, resets, key, context.value)
        check_keeps_time("truncate", layer, params, xs)
        return _in_stretches(layer, every, context, params, carry, xs, mask, resets, key)

    return layer._replace(apply=apply)


@as_one_program
def _in_stretches(layer, every, context, params, carry, xs, mask, resets, key):
    context = handed(context)
    xs = zero_where_masked(mask, xs)
    carry = carry_before(layer, params, carry, xs, resets, key, context)

    def run(state, stretch):
        carry, has_begun = state
        xs, mask, resets = stretch
        steps = jnp.array(True) if mask is None else mask.any(axis=0)
        carry = select(has_begun & steps, jax.lax.stop_gradient(carry), carry)
        options = {"mask": mask, "resets": resets, "key": key, "context": context}
        carry, ys = layer.apply(params, carry, xs, **options)
        return (carry, has_begun | steps), ys

    begun = varying_like(mask, jnp.zeros(() if mask is None else mask.shape[1:], bool))
    (carry, _), ys = scan_chunks(run, (carry, begun), (xs, mask, resets), every)
    return carry, ys


def _forward(layer):
    """`layer.apply` with positional arguments, which raises when it is differentiated."""

    @jax.custom_jvp
    def run(params, carry, xs, mask, resets, key, context):
        options = {"mask": mask, "resets": resets, "key": key}
        return layer.apply(params, carry, xs, **options, context=Handed(context, []))

    @run.defjvp
    def refuse(primals, tangents):
        raise ValueError(
            "`truncate` cannot count its stretches if `jax.export` leaves T symbolic, so its "
            "derivative cannot be exported. Export with a fixed T, or without derivatives "
            "(`vjp_order=0`)."
        )

    return run
