"""Calls to the shared library of native kernels."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.loop import shape_like, varying_like
from jaxrnn._core.numerics import sum_dtype
from jaxrnn._core.types import Carry
from jaxrnn.engines.cpu._library import INSTRUCTION_SETS
from jaxrnn.engines.kernel._folding import foldable
from jaxrnn.engines.kernel._operands import (
    Cotangents,
    Flags,
    Primals,
    Recurrence,
    Result,
    Saved,
)

NUMBERS = {"lstm": 0, "gru": 1, "elman tanh": 2, "elman relu": 3}  # in native/kernels.h


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


def call_single(recurrence: Recurrence, primals: Primals) -> tuple[Carry, jax.Array]:
    """The carry and h after one step of one sequence."""
    weights, (carry, _), inputs = primals
    operands = [*weights, *_two(carry), inputs]
    results = _two([shape_of(leaf.dtype, *leaf.shape) for leaf in carry])
    out = call_library("jaxrnn_single", recurrence, inputs, operands, results, {})
    return _carry_like(carry, out), out[0][None]


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
    has_extra, ys_tell = recurrence.kernel.gates > 1, not jax.tree.leaves(flags)
    dtype = weights.recurrent_kernel.dtype
    keeps_gates = keep and (has_extra or not ys_tell or sum_dtype(dtype) != dtype)
    state, units = shape_of(dtype, batch, hidden), shape_of(dtype, steps, batch, hidden)
    wide = shape_of(sum_dtype(dtype), steps, batch, hidden)
    kept = (
        shape_of(sum_dtype(dtype), steps, batch, columns) if keeps_gates else None,
        units if keep and not ys_tell else None,
        wide if keep and has_extra else None,
    )
    operands = [*weights, *_two(states.carry), *_two(states.initial), inputs, *flags]
    # `us` has been read where the gates are written.
    aliases = {8: 3} if keeps_gates and weights.kernel is None else {}
    results = [*_two((state,) * len(states.carry)), units, *kept]
    out = call_library("jaxrnn_forward", recurrence, inputs, operands, results, aliases)
    return _carry_like(states.carry, out[:2]), Saved(*out[2:])


def _backward(recurrence, weights, carry, dcarry, flags, saved, dys):
    gates, (*rows, hidden), dtype = recurrence.kernel.gates, dys.shape, sum_dtype(dys.dtype)
    is_gru = gates == 3
    state = _two([shape_of(dys.dtype, *leaf.shape) for leaf in dcarry])
    units = shape_of(dtype, *rows, hidden) if is_gru else None
    results = [shape_of(dtype, *rows, gates * hidden), units, *state, *state]
    kept = saved.gates, saved.extra, saved.previous, carry[0], saved.ys
    operands = [weights.recurrent_kernel, *kept, *_two(dcarry), dys, *flags]
    # What was saved has been read where its cotangent is written.
    aliases = {} if saved.gates is None else {1: 0, 2: 1} if is_gru else {1: 0}
    out = call_library("jaxrnn_backward", recurrence, dys, operands, results, aliases)
    dus, dvs, *dstates = out
    dcarry, dinitial = _carry_like(dcarry, dstates[:2]), _carry_like(dcarry, dstates[2:])
    return (dcarry, dinitial), (dus, dvs)


def call_library(name, recurrence, like, operands, results, aliases):
    """Calls `name`; None is an array that is not there. Results vary over the axes of `like`."""
    none = jnp.zeros((0,), jnp.float32)
    there = [none if result is None else result for result in results]
    types = [shape_like(like, result.shape, result.dtype) for result in there]
    out = jax.ffi.ffi_call(name, types, input_output_aliases=aliases)(
        *varying_like(like, [none if x is None else x for x in operands]),
        cell=np.int64(NUMBERS[recurrence.kernel.name]),
        instruction_set=instruction_set(recurrence),
        reverse=recurrence.reverse,
    )
    return [None if result is None else x for result, x in zip(results, out, strict=True)]


def instruction_set(recurrence: Recurrence) -> np.int64:
    """The number by which the library knows the instruction set; negative for the best."""
    chosen = recurrence.variant
    return np.int64(-1 if chosen is None else INSTRUCTION_SETS.index(chosen))


def shape_of(dtype, *shape):
    return jax.ShapeDtypeStruct(shape, dtype)


def _two(carry):
    """h and c of a carry, None for what it has not."""
    h, *rest = carry or (None,)
    return h, rest[0] if rest else None


def _carry_like(carry, pair):
    return type(carry)(*pair[: len(carry)])
