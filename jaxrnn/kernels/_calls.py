"""The calls into the shared library, native/handlers.cc."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxrnn._loop import varying_like
from jaxrnn.kernels._folding import foldable
from jaxrnn.kernels._library import LEVELS
from jaxrnn.kernels._recurrence import Flags, Recurrence, Result, States, Weights


class Saved(NamedTuple):
    """What the backward pass needs of the forward pass; None where a cell has no such array."""

    gates: jax.Array  # (T, B, G*H), activated
    previous: jax.Array  # (T, B, H), h before each step
    extra: jax.Array | None  # (T, B, H), c before each step of an LSTM, U_n h + d of a GRU


class Cotangents(NamedTuple):
    carry: Any  # (B, H) a leaf
    initial: Any  # the same; zeros without resets
    us: jax.Array  # (T, B, G*H)
    vs: jax.Array  # (T, B, G*H), of the recurrent product


def forward(
    recurrence: Recurrence, weights: Weights, states: States, us: jax.Array, flags: Flags
) -> Result:
    """The outputs alone."""

    def call(weights, states, sequences):
        carry, ys, _ = _forward(recurrence, weights, states, *sequences, keep=False)
        return carry, ys

    return Result(*foldable(call)(weights, states, (us, flags)))


def training_forward(
    recurrence: Recurrence, weights: Weights, states: States, us: jax.Array, flags: Flags
) -> tuple[Result, Saved]:
    """The outputs, and what the backward pass needs."""

    def call(weights, states, sequences):
        carry, ys, saved = _forward(recurrence, weights, states, *sequences, keep=True)
        return carry, (ys, saved)

    carry, (ys, saved) = foldable(call)(weights, states, (us, flags))
    return Result(carry, ys), saved


def backward(
    recurrence: Recurrence, weights: Weights, flags: Flags, saved: Saved, dresult: Result
) -> Cotangents:
    """Backpropagation through time, but for the weights: their cotangents are products of these."""

    def call(weights, dcarry, sequences):
        return _backward(recurrence, weights, dcarry, *sequences)

    sequences = (flags, saved, dresult.ys)
    (dcarry, dinitial), (dus, dvs) = foldable(call)(weights, dresult.carry, sequences)
    return Cotangents(dcarry, dinitial, dus, dvs)


def _forward(recurrence, weights, states, us, flags, *, keep):
    steps, batch, _ = us.shape
    hidden, has_extra = weights.recurrent_kernel.shape[0], recurrence.kernel.gates > 1
    pair, units = _pair_of_shapes(states.carry, (batch, hidden)), (steps, batch, hidden)
    kept = [us.shape, units, units if has_extra else _NONE] if keep else [_NONE] * 3
    operands = [*weights, *_two(states.carry), *_two(states.initial), us]
    aliases = {6: 3} if keep else {}  # `us` has been read where the gates are written
    out = _call("jaxrnn_forward", recurrence, us, operands, flags, [*pair, units, *kept], aliases)
    carry, ys, (gates, previous, extra) = _carry_like(states.carry, out[:2]), out[2], out[3:]
    return carry, ys, Saved(gates, previous, extra if has_extra else None) if keep else None


def _backward(recurrence, weights, dcarry, flags, saved, dys):
    gates, is_gru = saved.gates, recurrence.kernel.gates == 3
    pair = _pair_of_shapes(dcarry, (dys.shape[1], weights.recurrent_kernel.shape[0]))
    shapes = [gates.shape, gates.shape if is_gru else _NONE, *pair, *pair]
    operands = [weights.recurrent_kernel, *saved, *_two(dcarry), dys]
    aliases = {1: 0}  # the gates have been read where the cotangents are written
    out = _call("jaxrnn_backward", recurrence, gates, operands, flags, shapes, aliases)
    dus, dvs, *dstates = out
    dcarry, dinitial = _carry_like(dcarry, dstates[:2]), _carry_like(dcarry, dstates[2:])
    return (dcarry, dinitial), (dus, dvs if is_gru else dus)


_NONE = (0,)  # the shape of an array that is not there


def _call(name, recurrence, like, operands, flags, shapes, aliases):
    """Calls `name` with operands of the dtype of `like`, then flags; None is one not there."""
    operands = [jnp.zeros(_NONE, like.dtype) if x is None else x for x in operands]
    flags = [jnp.zeros(_NONE, jnp.bool_) if x is None else x for x in flags]
    types = [_type(shape, like) for shape in shapes]
    level = -1 if recurrence.level is None else LEVELS.index(recurrence.level)
    return jax.ffi.ffi_call(name, types, input_output_aliases=aliases)(
        *varying_like(like, operands + flags),
        cell=np.int64(recurrence.kernel.number),
        level=np.int64(level),
        reverse=recurrence.reverse,
    )


def _type(shape, like):
    """An array of the dtype of `like`; within `jax.shard_map`, varying over the same axes."""
    axes, mesh = jax.typeof(like).manual_axis_type, jax.typeof(like).sharding.mesh
    if not axes.varying:
        return jax.ShapeDtypeStruct(shape, like.dtype)
    sharding = NamedSharding(mesh, PartitionSpec())
    return jax.ShapeDtypeStruct(shape, like.dtype, sharding=sharding, manual_axis_type=axes)


def _two(carry):
    """h and c of a carry, None for what it has not."""
    h, *rest = carry or (None,)
    return h, rest[0] if rest else None


def _pair_of_shapes(carry, shape):
    return shape, shape if len(carry) == 2 else _NONE


def _carry_like(carry, pair):
    return type(carry)(*pair[: len(carry)])
