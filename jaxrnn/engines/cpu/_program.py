"""Unroll by a program: any cell whose step is a few products and operations on numbers."""

import math
from typing import Any, NamedTuple

import jax

from jaxrnn._core.checks import example
from jaxrnn._core.derivative import states as run_states
from jaxrnn._core.loop import Loop, varying_like
from jaxrnn._core.masking import (
    masked,
    over_batch,
    resetting,
    resetting_params,
    zero_where_masked,
)
from jaxrnn._core.memo import remembered
from jaxrnn._core.noise import batch_axes, without_noise
from jaxrnn._core.types import Carry, Cell
from jaxrnn.engines._schedule import schedule
from jaxrnn.engines._table import Call
from jaxrnn.engines.cpu._library import problem
from jaxrnn.engines.cpu._program_calls import backward, forward, training_forward
from jaxrnn.engines.cpu._program_gradients import gradients
from jaxrnn.engines.kernel._operands import (
    Backend,
    Flags,
    Primals,
    Recurrence,
    Result,
    States,
)
from jaxrnn.engines.kernel._recurrence import recurrence_of
from jaxrnn.engines.program._listing import listing
from jaxrnn.engines.program._partition import Programs, programs
from jaxrnn.engines.program._step import Sizes, step_program
from jaxrnn.engines.program._views import NotCovered

TILE = 20 << 10  # bytes of registers that stay in the first cache, as in program_handler.cc


class StepKernel(NamedTuple):
    """The kernel of a cell that has a program."""

    cell: Cell
    programs: Programs

    @property
    def outs(self) -> tuple[int, ...]:
        """The leaves of the carry that are handed out after each step."""
        return self.programs.outs

    @staticmethod
    def ys(leaves: list) -> Any:
        """What `Result.ys` is, from its leaves."""
        return tuple(leaves)


def reference(recurrence: Recurrence, primals: Primals, flags: Flags) -> Result:
    """The same by the general rule, for derivatives that have no kernel."""
    (params, (carry, initial), inputs), (mask, resets) = primals, flags
    kernel = recurrence.kernel
    sizes = kernel.programs.step.sizes
    loop = Loop(inputs[0].shape[0], recurrence.reverse)
    cell = Cell(None, None, _given, kernel.cell.recur, kernel.cell.update)
    us = zero_where_masked(mask, _shaped(sizes.u, inputs))
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
    us = cell.project(call.params, call.xs)
    kernel, batch = kernel_of(cell, call)
    recurrence = Recurrence(kernel, loop.reverse, BACKEND, instruction_set)
    steps, rows = jax.tree.leaves(us)[0].shape[0], math.prod(batch)
    dtype = kernel.programs.step.dtype

    def merged(tree, *axes):
        count = len(axes) - 1 + len(batch)
        return tuple(
            leaf.astype(dtype).reshape(*axes, math.prod(leaf.shape[count:]))
            for leaf in jax.tree.leaves(tree)
        )

    flags = Flags(call.mask, call.resets)
    flags = jax.tree.map(lambda x: over_batch(x, (steps, *batch), True).reshape(steps, rows), flags)
    initial = None if call.resets is None else merged(call.initial, rows)
    states, inputs = States(merged(call.carry, rows), initial), merged(us, steps, rows)
    args = varying_like((us, call), (call.params, states, (inputs, flags)))
    params, states, (inputs, flags) = args
    last, ys = recurrence_of(recurrence, Primals(params, states, inputs), flags)
    leaves, structure = jax.tree.flatten(call.carry)
    last = [x.reshape(leaf.shape) for x, leaf in zip(last, leaves, strict=True)]
    after = [jax.numpy.zeros((steps, *leaf.shape), leaf.dtype) for leaf in leaves]
    for j, y in zip(kernel.outs, ys, strict=True):
        after[j] = y.reshape(steps, *leaves[j].shape)
    out = cell.output(call.params, structure.unflatten(after), us)
    return structure.unflatten(last), zero_where_masked(call.mask, out)


def why_no_program(cell: Cell, call: Call) -> str | None:
    """Why the step of `cell` is no program; None if it is one. Reads shapes alone."""
    try:
        kernel_of(cell, call)
    except NotCovered as reason:
        return str(reason)
    return None


def program_of(cell: Cell, call: Call) -> str:
    """The programs of `cell`, in lines to read."""
    kernel, _ = kernel_of(cell, call)
    made = kernel.programs
    has_flags = call.mask is not None or call.resets is not None
    codes = {
        "forward": made.forward(),
        "forward, keeping what the gradient needs": made.training_forward(has_flags),
        "backward": made.backward(has_flags),
    }
    lines = [line for title, code in codes.items() for line in listing(title, code)]
    bytes_of_row = made.step.dtype.itemsize * max(code.scratch[0] for code in codes.values())
    tile = max(TILE // max(bytes_of_row, 1), 1)
    return "\n".join([f"programs for tiles of {tile} rows or fewer", *lines])


def kernel_of(cell: Cell, call: Call) -> tuple[StepKernel, tuple[int, ...]]:
    """The kernel of `cell`, and the batch axes of a call.

    Raises:
      NotCovered: it has none; says why.
    """
    x = example(call.xs)
    batch = batch_axes(without_noise(x), cell.num_feature_axes)
    found = remembered(_kernel_of, cell, len(batch), (call.params, call.carry, x))
    if isinstance(found, NotCovered):
        raise found
    return found, batch


def _kernel_of(cell, num_axes, trees):
    params, carry, x = trees
    u = jax.eval_shape(cell.project, params, x)

    def row(tree):
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[num_axes:], x.dtype), tree)

    try:
        _check_batch(carry, u, num_axes)
        step = step_program(cell, Sizes(params, row(carry), row(u)))
        made = programs(step, _read_by_output(cell, params, carry, u))
        made.forward()
        for has_flags in (False, True):
            made.training_forward(has_flags)
            made.backward(has_flags)
        return StepKernel(cell, made)
    except NotCovered as reason:
        return reason


def _check_batch(carry, u, num_axes):
    batches = {leaf.shape[:num_axes] for leaf in jax.tree.leaves((carry, u))}
    if len(batches) > 1 or not jax.tree.leaves(u):
        raise NotCovered("its carry and its projected inputs have different batch axes")


def _read_by_output(cell, params, carry, u):
    """The leaves of the carry that the output reads."""
    leaves, structure = jax.tree.flatten(carry)

    def output(leaves, params, u):
        return cell.output(params, structure.unflatten(leaves), u)

    jaxpr = jax.make_jaxpr(output)(leaves, params, u).jaxpr
    used = {id(var) for equation in jaxpr.eqns for var in equation.invars}
    used |= set(map(id, jaxpr.outvars))
    read = (j for j, var in enumerate(jaxpr.invars[: len(leaves)]) if id(var) in used)
    return tuple(read) or (0,)
