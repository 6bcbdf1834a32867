"""One step of a model as a map of vectors, and the carries at which its derivative is taken."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxrnn._core.checks import check_sequence, example
from jaxrnn._core.context import prepared
from jaxrnn._core.dependency import floating
from jaxrnn._core.memo import call_shapes
from jaxrnn._core.noise import batch_axes
from jaxrnn._core.timed import inputs_of
from jaxrnn._core.types import Carry, Cell, Layer, Params, advance
from jaxrnn.diagnostics._streaming import as_cell
from jaxrnn.diagnostics._vectors import from_vector, to_vector
from jaxrnn.engines._contract import check_given_carry, check_params_of
from jaxrnn.engines._unroll import as_arrays


class Run(NamedTuple):
    """A model and one sequence, checked."""

    cell: Cell
    params: Params  # prepared
    carry: Carry  # before the first step
    xs: Any  # (T, ...), without batch axes


def begin(name: str, model: Cell | Layer, params: Params, carry: Carry | None, xs: Any) -> Run:
    """The arguments of the diagnostic `name`; raises unless they fit and are one sequence."""
    cell = as_cell(name, model, params, xs)
    (xs,) = as_arrays(xs=inputs_of(cell, xs))
    if check_sequence(xs) == 0:
        raise ValueError(f"`xs` has no time step, and `{name}` needs at least one.")
    x = example(xs)
    check_params_of(cell, params, x)
    batch = batch_axes(x, cell.num_feature_axes)
    if batch:
        raise ValueError(
            f"`{name}` is for one sequence (T, I), and `xs` has the batch axes {batch}. Use "
            "`jax.vmap` over them."
        )
    initial = call_shapes(cell.init_carry, params, x)
    if not floating(initial):
        raise ValueError(f"the carry of {model!r} holds no floating array: it has no derivative.")
    if carry is None:
        carry = cell.init_carry(params, jax.tree.map(lambda leaf: leaf[0], xs))
    else:
        check_given_carry(carry, initial)
    (carry,) = as_arrays(carry=carry)
    return Run(cell, prepared(cell, params, None), carry, xs)


def step_map(run: Run, carry: Carry, x: Any) -> Callable[[jax.Array], tuple[jax.Array, Carry]]:
    """A step from the vector (N,) of a carry to that of the next, and the next carry itself.

    Leaves without a derivative, such as a counter, are as in `carry`.
    """

    def move(vector):
        before = from_vector(carry, vector)
        u = run.cell.project(run.params, x)
        after, _ = advance(run.cell, run.params, before, u)
        return to_vector(after), after

    return move


def carries_before(run: Run) -> Carry:
    """The carries before each step, (T, ...)."""

    def body(carry, x):
        return step_map(run, carry, x)(to_vector(carry))[1], carry

    return jax.lax.scan(body, run.carry, run.xs)[1]
