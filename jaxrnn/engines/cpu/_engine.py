"""Unroll by C++ kernels, on a CPU."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.loop import Loop, varying_like
from jaxrnn._core.masking import over_batch, zero_where_masked
from jaxrnn._core.of_field import unwrapped, unwrapped_params
from jaxrnn._core.types import Carry, Cell, hidden
from jaxrnn.cells._gated import project
from jaxrnn.engines._table import Call
from jaxrnn.engines.cpu._calls import backward, forward, training_forward
from jaxrnn.engines.cpu._library import problem
from jaxrnn.engines.cpu._products import products
from jaxrnn.engines.cpu._single import is_single, single
from jaxrnn.engines.kernel._operands import (
    Backend,
    Flags,
    Primals,
    Recurrence,
    States,
    Weights,
    kernel_for,
    reference,
)
from jaxrnn.engines.kernel._recurrence import recurrence_of

CPU = Backend(forward, training_forward, backward, products, reference)


def run(
    cell: Cell, loop: Loop, call: Call, *, instruction_set: str | None = None
) -> tuple[Carry, Any]:
    """Runs `cell` over a sequence.

    Args:
      cell: one that `_when.why_not` has nothing against.
      loop: the number of steps and their direction.
      call: its arrays.
      instruction_set: one of ``_library.instruction_sets()``; None for the best.

    Returns:
      The carry after the last step, and the outputs (T, ..., H).

    Raises:
      RuntimeError: the kernels are not there; says why, and what helps.
    """
    reason = problem()
    if reason is not None:
        raise RuntimeError(reason)
    recurrence = Recurrence(kernel_for(cell), loop.reverse, CPU, instruction_set)
    primals, flags, batch = _operands(cell, call)
    if is_single(primals, flags):
        last, hs = single(recurrence, primals)
    else:
        last, hs = recurrence_of(recurrence, primals, flags)
    last, hs = _split(last, 0, batch), _split(hs, 1, batch)
    return last, _outputs(cell, call, hs)


def _operands(cell, call):
    """The operands of the kernel, with the batch axes merged; and the batch axes."""
    params = unwrapped_params(cell, call.params)
    fused = unwrapped(cell).project is project  # which the kernel has within
    inputs = call.xs if fused else _projected(cell, call)
    weights = Weights(
        params.kernel if fused else None,
        _bias(params.bias, params.recurrent_kernel) if fused else None,
        params.recurrent_kernel,
        _recurrent_bias(params),
    )
    states = States(call.carry, None if call.resets is None else call.initial)
    steps, *batch = inputs.shape[:-1]
    flags = Flags(call.mask, call.resets)
    flags = jax.tree.map(lambda flag: over_batch(flag, (steps, *batch), True), flags)
    sequences = _merge((inputs, flags), 1, batch)
    args = varying_like(inputs, (weights, _merge(states, 0, batch), sequences))
    weights, states, (inputs, flags) = args
    return Primals(weights, states, inputs), flags, batch


def _bias(bias, kernel):
    """The kernels always add one."""
    return jnp.zeros(kernel.shape[1:], kernel.dtype) if bias is None else bias


def _recurrent_bias(params):
    if not hasattr(params, "recurrent_bias"):
        return None
    return _bias(params.recurrent_bias, params.recurrent_kernel[:, : len(params.recurrent_kernel)])


def _outputs(cell, call, hs):
    """The outputs, made from h after each step: `_when.why_not` refuses cells that read more."""
    if cell.output is hidden:
        return hs
    unread = (jnp.zeros((len(hs), *leaf.shape), leaf.dtype) for leaf in call.carry[1:])
    us = _projected(cell, call)  # dead code to the compiler where it is not read
    ys = cell.output(call.params, type(call.carry)(hs, *unread), us)
    return zero_where_masked(call.mask, ys)


def _projected(cell, call):
    return cell.project(call.params, zero_where_masked(call.mask, call.xs))


def _merge(tree, axis, batch):
    rows = math.prod(batch)

    def merge(leaf):
        return leaf.reshape(*leaf.shape[:axis], rows, *leaf.shape[axis + len(batch) :])

    return jax.tree.map(merge, tree)


def _split(tree, axis, batch):
    def split(leaf):
        return leaf.reshape(*leaf.shape[:axis], *batch, *leaf.shape[axis + 1 :])

    return jax.tree.map(split, tree)
