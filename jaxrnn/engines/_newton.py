"""``implementation="newton"``: any cell in parallel over time, by Newton's method.

The carries of all steps solve a system of nonlinear equations, ``carry_t = step(carry_{t-1})``.
Each iteration linearizes all steps at once and solves a linear recurrence. Where the iterations
have not converged, a plain scan takes their place. Nothing is differentiated through the
iterations: the rule for unrolls needs only the carries that they end with.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import example
from jaxrnn._core.dependency import floating
from jaxrnn._core.derivative import Schedule, States, states
from jaxrnn._core.loop import Loop, scan
from jaxrnn._core.noise import batch_axes, without_noise
from jaxrnn._core.types import Carry, Cell
from jaxrnn.engines._scan import with_flags
from jaxrnn.engines._schedule import keeping_both, projected
from jaxrnn.engines._table import Call, Engine, Traits, why_not_by_rule
from jaxrnn.engines.newton._iteration import Solution, form, iterate, step_by_step
from jaxrnn.engines.newton._matrix_recurrence import redone_unless
from jaxrnn.engines.newton._options import Newton
from jaxrnn.engines.newton._rows import Rows
from jaxrnn.engines.newton._tangents import in_parallel
from jaxrnn.wrappers._clip_carry_gradient import PRIMITIVE


def _why_not(cell: Cell, call: Call | None, traits: Traits) -> str | None:
    problem = why_not_by_rule(cell, call, traits)
    if problem or call is None:
        return problem
    leaves = jax.tree.leaves(call.carry)
    dtypes = {leaf.dtype for leaf in leaves}
    if len(dtypes) != 1 or not dtypes <= {jnp.dtype(jnp.float32), jnp.dtype(jnp.float64)}:
        found = ", ".join(sorted(map(str, dtypes))) or "no array"
        return (
            f"the carry holds {found}, and Newton's method needs numbers of one dtype, float32 or "
            "float64"
        )
    if jax.export.is_symbolic_dim(jax.tree.leaves(call.xs)[0].shape[0]):
        return "`jax.export` leaves the number of steps open"
    return None


def _why_not_chosen(cell: Cell, call: Call | None, traits: Traits) -> str:
    return "on a CPU it is slower than a loop, and it has not been measured elsewhere"


def engine_with(options: Newton) -> Engine:
    """The engine with these options."""
    return Engine("newton", _why_not, _why_not_chosen, functools.partial(_run, options))


def _run(options: Newton, cell: Cell, loop: Loop, call: Call) -> tuple[Carry, Any]:
    num_batch_axes = _num_batch_axes(cell, call)
    cell, params, xs = with_flags(cell, call)
    us = cell.project(params, xs)
    rows = Rows.of(call.carry, num_batch_axes)
    is_full = form(options, rows.size) == "full"
    plan = _schedule(
        options, num_batch_axes, is_full and not _clips_gradient(cell, params, call.carry, us)
    )
    out = states(projected(cell), loop, plan, params, call.carry, us)
    return out.last, cell.output(params, out.after, us)


def solution(options: Newton, cell: Cell, loop: Loop, call: Call) -> Solution:
    """What the iteration comes to, for a report."""
    rows = Rows.of(call.carry, _num_batch_axes(cell, call))
    cell, params, xs = with_flags(cell, call)
    return iterate(options, rows, cell, loop, params, call.carry, cell.project(params, xs))


def _num_batch_axes(cell, call):
    return len(batch_axes(without_noise(example(call.xs)), cell.num_feature_axes))


def _clips_gradient(cell, params, carry, us):
    """Whether gradients are no linear recurrence, as where each step clips them."""
    u = jax.tree.map(lambda u: u[0], us)
    return PRIMITIVE in str(
        jax.make_jaxpr(cell.update)(params, carry, u, cell.recur(params, carry))
    )


@functools.lru_cache(maxsize=256)
def _schedule(options: Newton, num_batch_axes: int, is_parallel: bool) -> Schedule:
    """One object for equal arguments, as JAX compares it."""
    recurrence = functools.partial(in_parallel, num_batch_axes) if is_parallel else scan
    run = functools.partial(_states, options, num_batch_axes)
    return keeping_both(run, recurrence)


def _states(options, num_batch_axes, cell, loop, params, carry, us) -> States:
    rows = Rows.of(carry, num_batch_axes)
    found = iterate(options, rows, cell, loop, params, carry, us)

    def redo():
        return step_by_step(cell, loop, params, carry, us)

    before, after = redone_unless(found.converged, (found.before, found.after), redo)
    last = jax.tree.map(lambda leaf: leaf[0 if loop.reverse else -1], after)
    return States(last, before, after, (floating(us), cell.recur(params, before)))


NEWTON = engine_with(Newton())
