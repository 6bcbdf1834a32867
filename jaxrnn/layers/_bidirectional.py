"""Bidirectional layers."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import (
    check_params,
    describe,
    example,
)
from jaxrnn._core.entry import constructor
from jaxrnn._core.flags import check_flags_fit
from jaxrnn._core.masking import zero_where_masked
from jaxrnn._core.matching import check_carry
from jaxrnn._core.timed import backward_gaps
from jaxrnn._core.types import Carry, Cell, Layer, Params
from jaxrnn.layers._compose import check_keeps_time, fold_key, outputs
from jaxrnn.layers._merging import Merge, check_merge, merging
from jaxrnn.layers._rnn import rnn


class BidirectionalParams(NamedTuple):
    forward: Params
    backward: Params


class BidirectionalCarry(NamedTuple):
    forward: Carry  # before the first step
    backward: Carry  # before the last step, which the backward direction reads first


class BidirectionalFinal(NamedTuple):
    forward: Carry  # after the last step
    backward: Carry  # after the first step, which the backward direction reads last


@constructor
def bidirectional(
    forward: Cell | Layer,
    backward: Cell | Layer | None = None,
    *,
    merge: Merge = "concat",
) -> Layer:
    """Bidirectional layer: each output depends on the whole sequence.

        →y = forward(x_1, ..., x_T)
        ←y = backward(x_T, ..., x_1), restored to time order
        y = merge(→y, ←y)

    Padding before, between or after the real steps changes nothing: a padded row equals the row
    alone. ``resets[t]`` marks t as the first step of a segment for both directions: the backward
    direction restores its initial carry before the last step of each segment. It reads the last
    segment first, which therefore starts from `carry.backward`.

    A bidirectional layer cannot stream, because its first output depends on the last input: `apply`
    returns a `BidirectionalFinal`, which cannot be passed back as `carry`.

    Args:
      forward: a cell, or a layer.
      backward: a cell, or a layer, for the reversed sequence. The sequence is reversed here: pass
        ``rnn(cell)``, not ``rnn(cell, reverse=True)``. None means `forward` again, with its own
        parameters.
      merge: ``"concat"``, along the last axis; ``"sum"``, ``"mul"`` or ``"mean"``, element-wise; or
        a function of the outputs of both directions, each (T, ..., H).

    Returns:
      A `Layer` with parameters `BidirectionalParams` and initial carry `BidirectionalCarry`:
      (T, ..., I) -> (T, ..., 2H) for ``"concat"``. The directions get the keys
      ``jax.random.fold_in(key, 0)`` and ``jax.random.fold_in(key, 1)``.

    Raises:
      TypeError: a direction is neither a cell nor a layer.
      ValueError: `merge` is unknown, or does not fit the outputs of the directions.

    References: Schuster and Paliwal, 1997, "Bidirectional recurrent neural networks".

    Examples:
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> for merge in ["concat", "sum"]:
      ...     layer = jaxrnn.bidirectional(jaxrnn.lstm(8), merge=merge)
      ...     params = layer.init(jax.random.key(0), xs)
      ...     final, ys = layer.apply(params, None, xs)
      ...     print(ys.shape, final.backward.h.shape)
      (5, 2, 16) (2, 8)
      (5, 2, 8) (2, 8)
    """
    backward = forward if backward is None else backward
    for name, part in [("forward", forward), ("backward", backward)]:
        if not isinstance(part, (Cell, Layer)):
            raise TypeError(
                f"`{name}` must be a Cell such as `jaxrnn.lstm(128)`, or a Layer, got {part!r}."
            )
    combine = merging(merge)
    ahead = forward if isinstance(forward, Layer) else rnn(forward)
    back = _reversed(backward) if isinstance(backward, Layer) else rnn(backward, reverse=True)

    def check_outputs(params, xs):
        """The shapes of the merged outputs; raises if the outputs do not fit each other."""
        check_keeps_time("bidirectional", ahead, params.forward, xs)
        check_keeps_time("bidirectional", back, params.backward, xs)
        parts = outputs(ahead, params.forward, xs), outputs(back, params.backward, xs)
        return check_merge(merge, *parts)

    def init(key, xs):
        keys = jax.random.split(key)
        params = BidirectionalParams(ahead.init(keys[0], xs), back.init(keys[1], xs))
        check_outputs(params, xs)
        return params

    def init_carry(params, xs):
        check_params(params, BidirectionalParams)
        return BidirectionalCarry(
            ahead.init_carry(params.forward, xs), back.init_carry(params.backward, xs)
        )

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        check_params(params, BidirectionalParams)
        carry = BidirectionalCarry(None, None) if carry is None else carry
        _check_initial(carry, jax.eval_shape(init_carry, params, xs))
        ys = check_outputs(params, xs)
        check_flags_fit("mask", mask, example(ys))
        shared = {"mask": mask, "context": context}
        ahead_options = {"resets": resets, "key": fold_key(key, 0), **shared}
        back_resets = _backward_resets(resets, mask)
        back_options = {"resets": back_resets, "key": fold_key(key, 1), **shared}
        ahead_carry, ahead_ys = ahead.apply(params.forward, carry.forward, xs, **ahead_options)
        back_carry, back_ys = back.apply(params.backward, carry.backward, xs, **back_options)
        ys = zero_where_masked(mask, combine(ahead_ys, back_ys))
        return BidirectionalFinal(ahead_carry, back_carry), ys

    return Layer(init, init_carry, apply)


def _reversed(layer):
    """`layer` on the reversed sequence; outputs stay at the positions of their inputs."""

    def flip(tree):
        return jax.tree.map(lambda x: jnp.flip(x, 0), tree)

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        options = {"mask": flip(mask), "resets": flip(resets), "key": key, "context": context}
        xs = zero_where_masked(mask, backward_gaps(xs, mask))
        xs = flip(xs)  # last, or `jax_debug_nans` stops at the padding
        carry, ys = layer.apply(params, carry, xs, **options)
        return carry, flip(ys)

    return layer._replace(apply=apply)


def _backward_resets(resets, mask):
    """The resets of the backward direction: the last real step of each segment.

    These are the steps whose next real step is the first of a segment.
    """
    if resets is None:
        return None
    if mask is not None:
        resets = _at_next_real_step(resets, mask)
    last = jnp.zeros((1, *resets.shape[1:]), bool)
    return jnp.concatenate([resets, last])[1:]


def _at_next_real_step(resets, mask):
    """The flag of the first real step at or after each step; False if there is none."""
    num_steps, ndim = resets.shape[0], max(resets.ndim, mask.ndim)

    def aligned(flags):
        return flags.reshape(*flags.shape, *(1,) * (ndim - flags.ndim))

    # Each real step as a number: its time, and its flag as the lowest bit.
    steps = aligned(2 * jnp.arange(num_steps, dtype=jnp.int32))
    codes = jnp.where(aligned(mask), steps + aligned(resets).astype(jnp.int32), 2 * num_steps)
    return jax.lax.cummin(codes, axis=0, reverse=True) % 2 == 1


def _check_initial(carry, expected):
    if isinstance(carry, BidirectionalFinal):
        raise TypeError(
            "`carry` is the BidirectionalFinal of an earlier call, and a bidirectional layer "
            "cannot go on from there to the next chunk: its backward direction starts at the end "
            "of the sequence, so it needs the whole of it in one call. Concatenate the chunks, or "
            "stream with layers such as `jaxrnn.rnn(cell)`. A new sequence starts with "
            "`carry=None`."
        )
    if not isinstance(carry, BidirectionalCarry):
        raise TypeError(
            f"`carry` must be BidirectionalCarry(forward, backward), got {describe(carry)}. Make "
            "one with the `init_carry` of the layer, or from the initial carries of both cells."
        )
    cause = "Both directions are checked before either runs. Was it made for another batch?"
    for name, given, wanted in zip(carry._fields, carry, expected, strict=True):
        if given is not None:
            check_carry(given, wanted, name=f"carry.{name}", cause=cause)
