"""Rematerialization, also called gradient checkpointing."""

import math

import jax

from jaxrnn._core.checks import check_sequence, check_size
from jaxrnn._core.context import handed
from jaxrnn._core.entry import constructor
from jaxrnn._core.masking import zero_where_masked
from jaxrnn._core.types import Layer, check_layer
from jaxrnn.layers._chunks import as_one_program, carry_before, scan_chunks
from jaxrnn.layers._compose import check_keeps_time


@constructor
def remat(layer: Layer, *, chunk: int | str = "sqrt") -> Layer:
    """Gradient checkpointing over time: less memory for a second forward pass.

    For the gradient it keeps the carry before each chunk, and the backward pass runs one chunk at a
    time forward again. Values and gradients do not change. With chunks of √T steps, the memory for
    activations grows with √T instead of T. Chunks within chunks need even less:
    ``remat(remat(layer, chunk=32), chunk=1024)``. If `jax.export` leaves T symbolic there are no
    chunks, and everything is kept.

    Args:
      layer: a layer that can stream, because it is applied chunk by chunk.
      chunk: the number of steps per chunk, or ``"sqrt"`` for about √T.

    Returns:
      A `Layer` with the parameters and the carry of `layer`.

    Raises:
      ValueError, TypeError: `chunk` is neither "sqrt" nor a positive integer, or `layer` is not a
        `Layer`.

    References: Chen, Xu, Zhang and Guestrin, 2016, "Training deep nets with sublinear memory cost".

    Examples:
      >>> plain = jaxrnn.rnn(jaxrnn.lstm(8))
      >>> xs = jnp.ones((7, 2, 4))  # (T, B, I)
      >>> params = plain.init(jax.random.key(0), xs)
      >>> def gradient(layer):
      ...     return jax.grad(lambda params: layer.apply(params, None, xs)[1].sum())(params)
      >>> same = gradient(jaxrnn.remat(plain, chunk=3))  # in chunks of 3, 3 and 1 steps
      >>> bool(jnp.allclose(same.kernel, gradient(plain).kernel, atol=1e-2))
      True
    """
    check_layer("`layer`", layer)
    if chunk != "sqrt":
        check_size("chunk", chunk)

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        length = check_sequence(xs)
        if jax.export.is_symbolic_dim(length):
            options = {"mask": mask, "resets": resets, "key": key, "context": context}
            return layer.apply(params, carry, xs, **options)
        check_keeps_time("remat", layer, params, xs)
        steps = _near_sqrt(length) if chunk == "sqrt" else chunk
        return _in_chunks(layer, steps, context, params, carry, xs, mask, resets, key)

    return layer._replace(apply=apply)


@as_one_program
def _in_chunks(layer, steps, context, params, carry, xs, mask, resets, key):
    context = handed(context)
    xs = zero_where_masked(mask, xs)
    carry = carry_before(layer, params, carry, xs, resets, key, context)

    def run(carry, chunk):
        xs, mask, resets = chunk
        options = {"mask": mask, "resets": resets, "key": key, "context": context}
        return layer.apply(params, carry, xs, **options)

    run = jax.checkpoint(run, prevent_cse=False)
    return scan_chunks(run, carry, (xs, mask, resets), steps)


def _near_sqrt(length):
    """A divisor of T near √T if there is one, so that no shorter chunk is left over.

    Cutting off a remainder would copy the inputs.
    """
    root = max(1, math.isqrt(length))
    divisors = (steps for steps in range(root, 2 * root + 1) if length % steps == 0)
    return next(divisors, root)
