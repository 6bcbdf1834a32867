"""A loop with nothing in it that does not belong there: what a kernel is made of."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from jaxrnn.engines.pallas._ahead import divided, unmarked
from jaxrnn.engines.pallas._plan import Plan, body_of
from jaxrnn.engines.pallas._programs import TRANSPOSED, hoisted, pruned, simplified
from jaxrnn.engines.pallas._steps import at_all_steps, spread


class Ahead(NamedTuple):
    """A step in two parts, of which the first can be done for many steps at once.

    Attributes:
      project: ``(*consts, *xs) -> us``, of one step; of those that it reads.
      reads: for each constant and each sequence whether `project` reads it.
      step: ``(consts, carry, (*xs, *us)) -> (carry, ys)``; of those that it reads.
      step_reads: for each constant and each sequence whether `step` reads it.
    """

    project: ClosedJaxpr
    reads: list[bool]
    step: Callable
    step_reads: list[bool]

    def split(self, flags: list[bool], consts: list, xs: list) -> tuple[list, list]:
        """The constants and the sequences that are marked by `reads` or `step_reads`."""
        kept = itertools.compress(consts, flags), itertools.compress(xs, flags[len(consts) :])
        return list(kept[0]), list(kept[1])


class Kernel(NamedTuple):
    """A loop over time, ready to be one kernel.

    Attributes:
      body: ``(consts, carry, xs) -> (carry, ys)``, one step of one index of the grid, flat.
      plan: of its operands.
      consts: arrays that are the same at all steps.
      carry: before the first step.
      xs: sequences.
      there: results of the loop that the kernel need not write, by their places among all.
      ahead: the same step in two parts, where the kernel projects its inputs.
    """

    body: Callable
    plan: Plan
    consts: list[jax.Array]
    carry: list[jax.Array]
    xs: list[jax.Array]
    there: dict[int, jax.Array]
    ahead: Ahead | None

    def shapes(self) -> tuple[list, list, list]:
        """Of one index of the grid, without time: constants, carry and sequences."""
        operands = [*self.consts, *self.carry, *self.xs]
        return self.plan.split([self.plan.one(i, x) for i, x in enumerate(operands)])

    def results(self) -> list[jax.ShapeDtypeStruct]:
        """Of one step: what is kept of it."""
        return jax.eval_shape(self.body, *self.shapes())[1]


def kernel_of(
    program: Any, plan: Plan, operands: list[jax.Array], *, projects: bool = False
) -> Kernel:
    """The loop without what nothing reads, and without what is the same at all steps.

    Args:
      program: the step or the map.
      plan: of its operands.
      operands: constants, carry and sequences.
      projects: whether the kernel projects its inputs, if the step does; otherwise they are
        projected here, all at once.
    """
    given = [plan.one(i, x) for i, x in enumerate(operands)]
    step = simplified(jax.make_jaxpr(body_of(plan, program))(*given), TRANSPOSED)
    if not projects:
        step, plan, operands = _projected(step, plan, list(operands))
    plan, there = _without_copies(unmarked(step), plan, operands)
    first, stop = plan.num_consts, plan.num_consts + plan.num_carry
    always = [first <= i < stop for i in range(len(operands))]
    step, reads = pruned(step, [*[True] * plan.num_carry, *plan.wanted], always)
    used = [i for i, flag in enumerate(reads) if flag]
    axes, operands = [plan.axes[i] for i in used], [operands[i] for i in used]
    num_consts = sum(reads[:first])
    num_fixed = 0 if any(axes[:num_consts]) else num_consts
    outer, inner = hoisted(step, num_fixed)
    kept = outer(*operands[:num_fixed])
    operands = [*kept, *operands[num_fixed:]]
    plan = plan._replace(
        num_consts=len(operands) - len(used) + num_consts,
        axes=((),) * len(kept) + tuple(axes[num_fixed:]),
        wanted=(True,) * sum(plan.wanted),
    )

    def run(*given):
        return inner(given[: len(kept)], *given[len(kept) :])

    whole = jax.make_jaxpr(run)(*(plan.one(i, x) for i, x in enumerate(operands)))
    body, ahead = _as_step(unmarked(whole), plan), _ahead(whole, plan)
    return Kernel(body, plan, *plan.split(operands), there, ahead)


def _projected(step, plan, operands):
    """The step that is given the projections of its inputs, which are projected here."""
    parts = divided(step, plan.num_consts, plan.num_carry)
    if parts is None:
        return step, plan, operands
    project, rest = parts
    numbers = [i for i in range(len(operands)) if plan.lead(i) or i < plan.num_consts]
    project, reads = _read(project, [False] * len(numbers))
    numbers = [i for i, flag in zip(numbers, reads, strict=True) if flag]
    us, axes = at_all_steps(
        jaxpr_as_fun(project),
        [operands[i] for i in numbers],
        [plan.lead(i) for i in numbers],
        [plan.axes[i] for i in numbers],
    )
    return rest, plan._replace(axes=(*plan.axes, *[axes] * len(us))), [*operands, *us]


def _without_copies(step, plan, operands):
    """The plan of a loop that writes no sequence that it reads, and those sequences."""
    places = {var: i for i, var in enumerate(step.jaxpr.invars) if plan.lead(i)}
    wanted, there, place = list(plan.wanted), {}, 0
    for number, var in enumerate(step.jaxpr.outvars[plan.num_carry :]):
        i = None if hasattr(var, "val") else places.get(var)
        if plan.wanted[number] and i is not None:
            (there[place],) = spread([operands[i]], [plan.axes[i]], plan.grid)
            wanted[number] = False
        place += plan.wanted[number]
    return plan._replace(wanted=tuple(wanted)), there


def _as_step(program, plan):
    def body(*parts):
        out = jaxpr_as_fun(program)(*(x for part in parts for x in part))
        return out[: plan.num_carry], out[plan.num_carry :]

    return body


def _ahead(program, plan):
    parts = divided(program, plan.num_consts, plan.num_carry)
    if parts is None:
        return None
    (project, step), (first, stop) = parts, (plan.num_consts, plan.num_consts + plan.num_carry)
    project, reads = _read(project, [False] * len(project.in_avals))
    always = [first <= i < stop or i >= len(plan.axes) for i in range(len(step.in_avals))]
    step, step_reads = _read(step, always)
    flags = [*step_reads[:first], *step_reads[stop : len(plan.axes)]]
    return Ahead(project, reads, _as_step(step, plan), flags)


def _read(program, always):
    return pruned(program, [True] * len(program.out_avals), always)
