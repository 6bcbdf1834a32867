"""Unroll by a program: any cell whose step is a few products and operations on numbers."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.derivative import states as run_states
from jaxrnn._core.loop import Loop, varying_like
from jaxrnn._core.masking import (
    masked,
    over_batch,
    resetting,
    resetting_params,
    zero_where_masked,
)
from jaxrnn._core.types import Carry, Cell, hidden
from jaxrnn.engines._schedule import schedule
from jaxrnn.engines._table import Call
from jaxrnn.engines.cpu._library import problem
from jaxrnn.engines.cpu._program_calls import backward, forward, training_forward
from jaxrnn.engines.cpu._program_gradients import gradients
from jaxrnn.engines.cpu._program_kernel import kernel_of
from jaxrnn.engines.kernel._operands import (
    Backend,
    Flags,
    Primals,
    Recurrence,
    Result,
    States,
)
from jaxrnn.engines.kernel._recurrence import recurrence_of


def reference(recurrence: Recurrence, primals: Primals, flags: Flags) -> Result:
    """The same by the general rule, for derivatives that have no kernel."""
    (params, (carry, initial), inputs), (mask, resets) = primals, flags
    kernel, inputs = recurrence.kernel, zero_where_masked(mask, inputs)
    sizes = kernel.programs.step.sizes
    loop = Loop(inputs[0].shape[0], recurrence.reverse)
    cell = Cell(None, None, _given, kernel.cell.recur, kernel.cell.update)
    if kernel.projection is None:
        us = _shaped(sizes.u, inputs)
    else:
        us = kernel.cell.project(params, _shaped(kernel.projection.x, inputs))
    if resets is not None:
        params = resetting_params(cell, params, _shaped(sizes.carry, initial))
        cell, us = resetting(cell), (us, resets)
    if mask is not None:
        cell, us = masked(cell), (us, mask)
    plan = schedule(in_blocks=False, keeps_sum=False)
    out = run_states(cell, loop, plan, params, _shaped(sizes.carry, carry), us)
    after = _flat(out.after, 2)
    ys = tuple(zero_where_masked(mask, after[j]) for j in kernel.outs)
    return Result(_flat(out.last, 1), ys)


BACKEND = Backend(forward, training_forward, backward, gradients, reference)


def _given(_, u):
    return u


def _shaped(like, leaves):
    """Rows of numbers (..., W) as a pytree of arrays."""
    leaves = iter(leaves)

    def shape(spec):
        leaf = next(leaves)
        leaf = leaf.reshape(*leaf.shape[:-1], *spec.shape)
        return leaf != 0 if spec.dtype == bool else leaf

    return jax.tree.map(shape, like)


def _flat(tree, num_axes):
    """The leaves of a pytree as rows of numbers."""
    return tuple(
        leaf.reshape(*leaf.shape[:num_axes], math.prod(leaf.shape[num_axes:]))
        for leaf in jax.tree.leaves(tree)
    )


def run(
    cell: Cell, loop: Loop, call: Call, *, instruction_set: str | None = None
) -> tuple[Carry, Any]:
    """Runs `cell` over a sequence: as `_engine.run`, for a cell that `kernel_of` knows."""
    reason = problem()
    if reason is not None:
        raise RuntimeError(reason)
    kernel, batch = kernel_of(cell, call)
    # What the output does not read is not computed.
    if kernel.projection:
        us, given = _zeros_like_projected(cell, call), call.xs
    else:
        us = given = cell.project(call.params, zero_where_masked(call.mask, call.xs))
    recurrence = Recurrence(kernel, loop.reverse, BACKEND, instruction_set)
    steps, rows = jax.tree.leaves(given)[0].shape[0], math.prod(batch)
    dtype = kernel.programs.step.dtype

    def merged(tree, *axes):
        count = len(axes) - 1 + len(batch)
        return tuple(
            leaf.astype(dtype).reshape(*axes, math.prod(leaf.shape[count:]))
            for leaf in jax.tree.leaves(tree)
        )

    def states_of(carry):
        # The output, which a program makes after the carry, is not read before the step.
        made = jax.tree.leaves(kernel.y)
        return *merged(carry, rows), *(jnp.zeros((rows, y.size), dtype) for y in made)

    flags = Flags(call.mask, call.resets)
    flags = jax.tree.map(lambda x: over_batch(x, (steps, *batch), True).reshape(steps, rows), flags)
    initial = None if call.resets is None else states_of(call.initial)
    states, inputs = States(states_of(call.carry), initial), merged(given, steps, rows)
    args = varying_like((given, call), (call.params, states, (inputs, flags)))
    params, states, (inputs, flags) = args
    last, ys = recurrence_of(recurrence, Primals(params, states, inputs), flags)
    leaves, structure = jax.tree.flatten(call.carry)
    last = [x.reshape(leaf.shape) for x, leaf in zip(last, leaves, strict=False)]
    if kernel.y is not None:
        out = jax.tree.map(
            lambda y, like: y.reshape(steps, *batch, *like.shape),
            jax.tree.unflatten(jax.tree.structure(kernel.y), ys),
            kernel.y,
        )
        return structure.unflatten(last), out
    after = [jax.numpy.zeros((steps, *leaf.shape), leaf.dtype) for leaf in leaves]
    for j, y in zip(kernel.outs, ys, strict=True):
        after[j] = y.reshape(steps, *leaves[j].shape)
    out = cell.output(call.params, structure.unflatten(after), us)
    # What the program hands out is zero where it is masked, and its cotangent is not read there.
    out = out if cell.output is hidden else zero_where_masked(call.mask, out)
    return structure.unflatten(last), out


def _zeros_like_projected(cell, call):
    us = jax.eval_shape(cell.project, call.params, call.xs)
    return jax.tree.map(lambda u: jnp.zeros(u.shape, u.dtype), us)
