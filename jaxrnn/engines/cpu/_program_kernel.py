"""The kernel of a cell that has a program."""

from typing import Any, NamedTuple

import jax

from jaxrnn._core.checks import example
from jaxrnn._core.memo import remembered
from jaxrnn._core.noise import batch_axes, without_noise
from jaxrnn._core.types import Cell
from jaxrnn.engines._table import Call
from jaxrnn.engines.program._listing import listing
from jaxrnn.engines.program._partition import Programs, programs
from jaxrnn.engines.program._projection import Projection, projection_of
from jaxrnn.engines.program._step import Sizes, step_program
from jaxrnn.engines.program._views import NotCovered

TILE = 32 << 10  # bytes of registers that stay in the first cache, as in program_handler.cc


class StepKernel(NamedTuple):
    """The kernel of a cell that has a program.

    Attributes:
      cell: the cell.
      programs: of its step.
      projection: the products that the program is given, of the inputs; None where it is given what
        `Cell.project` returns.
    """

    cell: Cell
    programs: Programs
    projection: Projection | None

    @property
    def outs(self) -> tuple[int, ...]:
        """The leaves of the carry that are handed out after each step."""
        return self.programs.outs

    @staticmethod
    def ys(leaves: list) -> Any:
        """What `Result.ys` is, from its leaves."""
        return tuple(leaves)


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
    first = [f"programs for tiles of {tile} rows or fewer"]
    if kernel.projection is not None:
        widths = ", ".join(str(matrix.width) for matrix in kernel.projection.matrices)
        first.append(f"given products of all inputs at once with matrices: {widths} numbers wide")
    return "\n".join([*first, *lines])


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
        outs, reads_u = _read_by_output(cell, params, carry, u)
        projection = None if reads_u else _projection(cell, params, row(x))
        if projection is not None:
            sizes = Sizes(params, row(carry), projection.given(row(x)))
            count = len(projection.matrices)
            made = _programs(step_program(projection.after(cell), sizes), outs, count)
            return StepKernel(cell, made, projection)
        made = _programs(step_program(cell, Sizes(params, row(carry), row(u))), outs, 0)
        return StepKernel(cell, made, None)
    except NotCovered as reason:
        return reason


def _projection(cell, params, x):
    is_array = isinstance(x, jax.ShapeDtypeStruct) and len(x.shape) == 1
    is_plain = is_array and all(leaf.dtype == x.dtype for leaf in jax.tree.leaves(params))
    return projection_of(cell, params, x) if is_plain else None


def _programs(step, outs, num_products):
    made = programs(step, outs, num_products)
    made.forward()
    for has_flags in (False, True):
        made.training_forward(has_flags)
        made.backward(has_flags)
    return made


def _check_batch(carry, u, num_axes):
    batches = {leaf.shape[:num_axes] for leaf in jax.tree.leaves((carry, u))}
    if len(batches) > 1 or not jax.tree.leaves(u):
        raise NotCovered("its carry and its projected inputs have different batch axes")


def _read_by_output(cell, params, carry, u):
    """The leaves of the carry that the output reads, and whether it reads u."""
    leaves, structure = jax.tree.flatten(carry)

    def output(leaves, params, u):
        return cell.output(params, structure.unflatten(leaves), u)

    jaxpr = jax.make_jaxpr(output)(leaves, params, u).jaxpr
    used = {id(var) for equation in jaxpr.eqns for var in equation.invars}
    used |= set(map(id, jaxpr.outvars))
    is_read = [id(var) in used for var in jaxpr.invars]
    outs = tuple(j for j in range(len(leaves)) if is_read[j])
    return outs or (0,), any(is_read[len(is_read) - len(jax.tree.leaves(u)) :])
