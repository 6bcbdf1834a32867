"""The calls into the shared library, native/handlers.cc."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxrnn._loop import varying_like
from jaxrnn._precision import sum_dtype
from jaxrnn.kernels._folding import foldable
from jaxrnn.kernels._library import LEVELS
from jaxrnn.kernels._recurrence import Flags, Primals, Recurrence, Result, Weights


class Saved(NamedTuple):
    """What the backward pass needs of the forward pass; None where a cell has no such array.

    Gates and what belongs to them are in the dtype of the sums, the others in that of the cell.
    """

    ys: jax.Array  # (T, B, H)
    gates: jax.Array  # (T, B, G*H), activated
    previous: jax.Array | None  # (T, B, H), h before each step where `ys` does not tell it
    extra: jax.Array | None  # (T, B, H), c before each step of an LSTM, U_n h + d of a GRU


class Cotangents(NamedTuple):
    carry: Any  # (B, H) a leaf
    initial: Any  # the same; zeros without resets
    us: jax.Array  # (T, B, G*H)
    vs: jax.Array  # (T, B, G*H), of the recurrent product


class Products(NamedTuple):
    """What follows from the cotangents by a product over all steps; None where it is not asked."""

    weights: Weights
    inputs: jax.Array | None  # (T, B, I)


def forward(recurrence: Recurrence, primals: Primals, flags: Flags) -> Result:
    """The outputs alone."""

    def call(weights, states, sequences):
        carry, saved = _forward(recurrence, weights, states, *sequences, keep=False)
        return carry, saved.ys

    weights, states, inputs = primals
    return Result(*foldable(call)(weights, states, (inputs, flags)))


def training_forward(
    recurrence: Recurrence, primals: Primals, flags: Flags
) -> tuple[Result, Saved]:
    """The outputs, and what the backward pass needs."""

    def call(weights, states, sequences):
        return _forward(recurrence, weights, states, *sequences, keep=True)

    weights, states, inputs = primals
    carry, saved = foldable(call)(weights, states, (inputs, flags))
    return Result(carry, saved.ys), saved


def backward(
    recurrence: Recurrence, primals: Primals, flags: Flags, saved: Saved, dresult: Result
) -> Cotangents:
    """Backpropagation through time, but for the products over all steps."""

    def call(weights, states, sequences):
        return _backward(recurrence, weights, *states, *sequences)

    carry = primals.states.carry
    sequences, states = (flags, saved, dresult.ys), (carry, dresult.carry)
    (dcarry, dinitial), (dus, dvs) = foldable(call)(primals.weights, states, sequences)
    return Cotangents(dcarry, dinitial, dus, dvs)


def _forward(recurrence, weights, states, inputs, flags, *, keep):
    steps, batch, _ = inputs.shape
    hidden, columns = weights.recurrent_kernel.shape
    has_extra, ys_tell = recurrence.kernel.gates > 1, flags == Flags(None, None)
    dtype = weights.recurrent_kernel.dtype
    state, units = _shape(dtype, batch, hidden), _shape(dtype, steps, batch, hidden)
    wide = _shape(sum_dtype(dtype), steps, batch, hidden)
    kept = (
        _shape(sum_dtype(dtype), steps, batch, columns) if keep else None,
        units if keep and not ys_tell else None,
        wide if keep and has_extra else None,
    )
    operands = [*weights, *_two(states.carry), *_two(states.initial), inputs, *flags]
    # `us` has been read where the gates are written.
    aliases = {8: 3} if keep and weights.kernel is None else {}
    results = [*_two((state,) * len(states.carry)), units, *kept]
    out = _call("jaxrnn_forward", recurrence, inputs, operands, results, aliases)
    return _carry_like(states.carry, out[:2]), Saved(*out[2:])


def _backward(recurrence, weights, carry, dcarry, flags, saved, dys):
    gates, is_gru = saved.gates, recurrence.kernel.gates == 3
    state = _two([_shape(dys.dtype, *leaf.shape) for leaf in dcarry])
    wide = _shape(gates.dtype, *gates.shape)
    results = [wide, wide if is_gru else None, *state, *state]
    kept = saved.gates, saved.extra, saved.previous, carry[0], saved.ys
    operands = [weights.recurrent_kernel, *kept, *_two(dcarry), dys, *flags]
    aliases = {1: 0}  # the gates have been read where the cotangents are written
    out = _call("jaxrnn_backward", recurrence, gates, operands, results, aliases)
    dus, dvs, *dstates = out
    dcarry, dinitial = _carry_like(dcarry, dstates[:2]), _carry_like(dcarry, dstates[2:])
    return (dcarry, dinitial), (dus, dvs if is_gru else dus)


def products(
    recurrence: Recurrence,
    primals: Primals,
    saved: Saved,
    cotangents: Cotangents,
    of_weights: bool,
    of_inputs: bool,
) -> Products:
    """The cotangents of the weights, each one product over all steps, and those of the inputs.

    Args:
      recurrence: the cell, and the direction.
      primals: the arguments.
      saved: what the forward pass has kept of them.
      cotangents: of the two projections of each step.
      of_weights: whether those of the weights are asked for.
      of_inputs: whether those of the inputs are.
    """

    @jax.custom_batching.custom_vmap
    def call(*args):
        return _products(recurrence, of_weights, of_inputs, *args)

    @call.def_vmap
    def rule(size, is_mapped, *args):  # rows of their own for each index of the mapped axis
        axes = jax.tree.map(lambda flag: 0 if flag else None, is_mapped)
        out = jax.vmap(
            lambda *args: _products_by_xla(recurrence, of_weights, of_inputs, *args), axes
        )(*args)
        return out, jax.tree.map(lambda _: True, out)

    h = primals.states.carry[0]
    previous = (h, saved.ys, saved.previous)
    return call(primals.weights, primals.inputs, previous, cotangents.us, cotangents.vs)


def _products(recurrence, of_weights, of_inputs, weights, inputs, previous, dus, dvs):
    if not (of_weights or (of_inputs and weights.kernel is not None)):
        return Products(jax.tree.map(lambda _: None, weights), dus if of_inputs else None)
    h, ys, before = previous
    is_gru, projects = recurrence.kernel.gates == 3, weights.kernel is not None
    operands = [weights.kernel, inputs if projects else None, before, h, ys, dus]
    like = [_shape(leaf.dtype, *leaf.shape) if leaf is not None else None for leaf in weights]
    dkernel, dbias, drecurrent, _ = like if of_weights else [None] * 4
    sums = _shape(h.dtype, dus.shape[-1]) if of_weights and is_gru else None
    dinputs = _shape(inputs.dtype, *inputs.shape) if of_inputs and projects else None
    results = [dkernel, dbias, drecurrent, sums, dinputs]
    operands.append(dvs if is_gru else None)
    *dweights, sums, dinputs = _call("jaxrnn_gradients", recurrence, dus, operands, results, {})
    if of_inputs and not projects:
        dinputs = dus
    drecurrent_bias = None if sums is None else sums[-h.shape[-1] :]
    return Products(Weights(*dweights, drecurrent_bias), dinputs)


def _products_by_xla(recurrence, of_weights, of_inputs, weights, inputs, previous, dus, dvs):
    h, ys, before = previous
    if before is None:
        rows = (ys[1:], h[None]) if recurrence.reverse else (h[None], ys[:-1])
        before = jnp.concatenate(rows)

    def outer(a, b):
        a = a.astype(b.dtype).reshape(-1, a.shape[-1])
        return a.T @ b.reshape(-1, b.shape[-1])

    dkernel = dbias = dinputs = None
    if weights.kernel is not None:
        dkernel, dbias = outer(inputs, dus), dus.sum((0, 1))
        dinputs = (dus @ weights.kernel.astype(dus.dtype).T).astype(inputs.dtype)
    drecurrent = outer(before, dvs)
    has_bias = weights.recurrent_bias is not None
    drecurrent_bias = dvs.sum((0, 1))[-h.shape[-1] :] if has_bias else None
    dweights = Weights(dkernel, dbias, drecurrent, drecurrent_bias)
    dweights = jax.tree.map(
        lambda leaf, d: d.astype(leaf.dtype) if of_weights else None, weights, dweights
    )
    return Products(dweights, (dus if dinputs is None else dinputs) if of_inputs else None)


def _call(name, recurrence, like, operands, results, aliases):
    """Calls `name`, an array that is not there being None; varies over the axes of `like`."""
    none = jnp.zeros((0,), jnp.float32)
    types = [_type(none if result is None else result, like) for result in results]
    level = -1 if recurrence.level is None else LEVELS.index(recurrence.level)
    out = jax.ffi.ffi_call(name, types, input_output_aliases=aliases)(
        *varying_like(like, [none if x is None else x for x in operands]),
        cell=np.int64(recurrence.kernel.number),
        level=np.int64(level),
        reverse=recurrence.reverse,
    )
    return [None if result is None else x for result, x in zip(results, out, strict=True)]


def _shape(dtype, *shape):
    return jax.ShapeDtypeStruct(shape, dtype)


def _type(result, like):
    """The array; within `jax.shard_map`, varying over the axes over which `like` does."""
    axes, mesh = jax.typeof(like).manual_axis_type, jax.typeof(like).sharding.mesh
    if not axes.varying:
        return _shape(result.dtype, *result.shape)
    sharding = NamedSharding(mesh, PartitionSpec())
    return jax.ShapeDtypeStruct(
        result.shape, result.dtype, sharding=sharding, manual_axis_type=axes
    )


def _two(carry):
    """h and c of a carry, None for what it has not."""
    h, *rest = carry or (None,)
    return h, rest[0] if rest else None


def _carry_like(carry, pair):
    return type(carry)(*pair[: len(carry)])
