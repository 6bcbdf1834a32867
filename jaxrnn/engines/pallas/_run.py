"""From a loop as it was traced to the kernel of a platform."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.engines.pallas._inside import projects_inside
from jaxrnn.engines.pallas._kernel import kernel_of
from jaxrnn.engines.pallas._mapping import widened
from jaxrnn.engines.pallas._plan import Plan


def run_on(platform: str, program: Any, plan: Plan, *operands: jax.Array) -> list[jax.Array]:
    """The results of a loop, by the kernel of a platform.

    Args:
      platform: "cpu", where the kernel is interpreted, "tpu" or "cuda".
      program: the step or the map.
      plan: of its operands.
      operands: constants, carry and sequences.
    """
    if not plan.has_rows:
        return _with_a_row(platform, program, plan, operands)
    if platform == "cuda":
        kernel = kernel_of(program, plan, list(operands))
    else:
        projects = projects_inside(program, plan, operands, interpret=platform == "cpu")
        kernel = kernel_of(program, plan, list(operands), projects=projects)
    out = _by_kernel(platform, kernel)
    for place, sequence in sorted(kernel.there.items()):
        out.insert(plan.num_carry + place, sequence)
    return out


def _by_kernel(platform, kernel):
    if not any(x.size for x in kernel.carry):
        return _without_rows(kernel)
    if platform == "cuda":
        from jaxrnn.engines.pallas._triton import run
    else:
        from jaxrnn.engines.pallas._tpu import run
    return run(kernel) if platform == "cuda" else run(kernel, interpret=platform == "cpu")


def _with_a_row(platform, program, plan, operands):
    """The loop of one sequence, as one of a batch of one."""
    dims = [None] * len(operands)
    operands = list(operands)
    for i in range(plan.num_consts, len(operands)):
        dims[i] = plan.lead(i) + len(plan.axes[i])
        operands[i] = jnp.expand_dims(operands[i], dims[i])
    operands, program, plan, at = widened(1, operands, dims, program, plan)
    out = run_on(platform, program, plan, *operands)
    last, ys = out[: plan.num_carry], out[plan.num_carry :]
    return [*(x.squeeze(at) for x in last), *(y.squeeze(at + 1) for y in ys)]


def _without_rows(kernel):
    """The results of a loop over no rows."""
    plan = kernel.plan
    shapes = [((plan.length, *plan.grid, *y.shape), y.dtype) for y in kernel.results()]
    whole = [(*plan.grid, *x.shape) for x in kernel.shapes()[1]]
    last = [jnp.zeros(shape, x.dtype) for shape, x in zip(whole, kernel.carry, strict=True)]
    return [*last, *(jnp.zeros(*shape) for shape in shapes)]
