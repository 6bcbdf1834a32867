"""A loop with nothing in it that does not belong there: what a kernel is made of."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxrnn.engines.pallas._plan import Plan, body_of
from jaxrnn.engines.pallas._programs import TRANSPOSED, hoisted, pruned, simplified


class Kernel(NamedTuple):
    """A loop over time, ready to be one kernel.

    Attributes:
      body: ``(consts, carry, xs) -> (carry, ys)``, one step of one index of the grid, flat.
      plan: of its operands.
      consts: arrays that are the same at all steps.
      carry: before the first step.
      xs: sequences.
    """

    body: Callable
    plan: Plan
    consts: list[jax.Array]
    carry: list[jax.Array]
    xs: list[jax.Array]

    def shapes(self) -> tuple[list, list, list]:
        """Of one index of the grid, without time: constants, carry and sequences."""
        operands = [*self.consts, *self.carry, *self.xs]
        return self.plan.split([self.plan.one(i, x) for i, x in enumerate(operands)])

    def results(self) -> list[jax.ShapeDtypeStruct]:
        """Of one step: what is kept of it."""
        return jax.eval_shape(self.body, *self.shapes())[1]


def kernel_of(program: Any, plan: Plan, operands: list[jax.Array]) -> Kernel:
    """The loop without what nothing reads, and without what is the same at all steps."""
    given = [plan.one(i, x) for i, x in enumerate(operands)]
    step = simplified(jax.make_jaxpr(body_of(plan, program))(*given), TRANSPOSED)
    first, stop = plan.num_consts, plan.num_consts + plan.num_carry
    always = [first <= i < stop for i in range(len(given))]
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

    def body(consts, carry, xs):
        out = inner(consts[: len(kept)], *consts[len(kept) :], *carry, *xs)
        return out[: plan.num_carry], out[plan.num_carry :]

    return Kernel(body, plan, *plan.split(operands))
