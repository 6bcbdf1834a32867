"""The kernel of a cell that has a program."""

import contextlib
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
from jaxrnn.engines.program._readout import with_output
from jaxrnn.engines.program._step import Sizes, step_program
from jaxrnn.engines.program._tape import Ref, record
from jaxrnn.engines.program._views import NotCovered

TILE = 32 << 10  # bytes of registers that stay in the first cache, as in program_handler.cc


class StepKernel(NamedTuple):
    """The kernel of a cell that has a program.

    Attributes:
      cell: the cell.
      programs: of its step.
      projection: the products that the program is given, of the inputs; None where it is given what
        `Cell.project` returns.
      y: of one row, where the program makes the output, after the carry; else None.
    """

    cell: Cell
    programs: Programs
    projection: Projection | None
    y: Any

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
    codes = {
        "forward": made.forward(),
        "forward, keeping what the gradient needs": made.training_forward(),
        "backward": made.backward(),
    }
    lines = [line for title, code in codes.items() for line in listing(title, code)]
    bytes_of_row = made.step.dtype.itemsize * max(code.scratch[0] for code in codes.values())
    tile = max(TILE // max(bytes_of_row, 1), 1)
    first = [f"programs for tiles of {tile} rows or fewer"]
    if kernel.projection is not None:
        widths = ", ".join(str(matrix.width) for matrix in kernel.projection.matrices)
        first.append(f"given products of the inputs with matrices: {widths} numbers wide")
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
        return _first_covered(cell, Sizes(params, row(carry), row(u)), row(x))
    except NotCovered as reason:
        return reason


def _first_covered(cell, sizes, x):
    """The kernel that makes as much as a program covers: also the output, also the projection."""
    forms = [(cell, sizes, None)]
    found = with_output(cell, sizes)
    if found is not None:
        other, y = found
        forms.insert(0, (other, sizes._replace(carry=(sizes.carry, y)), y))
    for made, rows, y in forms:
        outs, reads_u = _read_by_output(made, *rows)
        projection = None if reads_u else _projection(made, rows.params, x)
        if projection is not None:
            given = rows._replace(u=projection.given())
            count = len(projection.matrices)
            with contextlib.suppress(NotCovered):
                step = step_program(projection.after(made), given)
                return StepKernel(made, _programs(step, outs, count), projection, y)
        try:
            return StepKernel(made, _programs(step_program(made, rows), outs, 0), None, y)
        except NotCovered as reason:
            missing = reason
    raise missing


def _projection(cell, params, x):
    dtypes = {leaf.dtype for leaf in jax.tree.leaves((params, x))}
    is_known = all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(x))
    return projection_of(cell, params, x) if is_known and len(dtypes) == 1 else None


def _programs(step, outs, num_products):
    made = programs(step, outs, num_products)
    made.training_forward()  # each of which may be too large
    made.backward()
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

    try:
        tape, _ = record(output, leaves, params, u)
    except NotCovered:  # it runs for all rows at once, and may read everything
        return tuple(range(len(leaves))), True
    read = (tape.outputs, *(entry.inputs for entry in tape.entries))
    used = {x for group in read for x in group if isinstance(x, Ref)}
    is_read = [Ref(i) in used for i in range(len(tape.inputs))]
    outs = tuple(j for j in range(len(leaves)) if is_read[j])
    return outs or (0,), any(is_read[len(is_read) - len(jax.tree.leaves(u)) :])
