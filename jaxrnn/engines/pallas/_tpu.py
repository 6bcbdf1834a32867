"""The kernel of a loop for a TPU; on a CPU, Pallas interprets it.

The last axis of its grid are blocks of time, which run one after the other. Constants and the carry
stay in VMEM for the whole sequence: their blocks do not change from one index to the next.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from jaxrnn.engines._table import refuse
from jaxrnn.engines.pallas._budget import block_for, needs_of, problem_with
from jaxrnn.engines.pallas._cost import cost_of
from jaxrnn.engines.pallas._kernel import Kernel
from jaxrnn.engines.pallas._packing import Packing, result

INTERPRETED_BLOCK = 16  # steps of a block on a CPU, where nothing depends on it


def run(kernel: Kernel, *, interpret: bool) -> list[jax.Array]:
    """The carry after the last step and the results of all steps.

    Raises:
      ValueError: it does not fit into VMEM.
    """
    plan = kernel.plan
    consts, carry, xs = (
        [Packing.of(x, is_column) for x in part]
        for part, is_column in zip(kernel.shapes(), (False, False, True), strict=True)
    )
    ys = [Packing.of(y, True) for y in kernel.results()]
    if interpret:
        block, limit = min(plan.length, INTERPRETED_BLOCK), None
    else:
        needs = needs_of(kernel)
        problem = problem_with(needs)
        if problem:
            refuse("pallas", problem)
        block, limit = block_for(needs, plan.length)
    num_blocks = -(-plan.length // block)
    depth = len(plan.grid)

    def step_kernel(*refs):
        refs = iter(refs)
        const_refs, first_refs, x_refs, state_refs, y_refs = (
            [next(refs) for _ in part] for part in (consts, carry, xs, carry, ys)
        )
        index = pl.program_id(depth)

        @pl.when(index == 0)
        def _():
            for state, first in zip(state_refs, first_refs, strict=True):
                state[...] = first[...]

        place = num_blocks - 1 - index if plan.reverse else index
        count = np.int32(block)
        if plan.length % block:  # the last block hangs over
            count = jnp.minimum(count, np.int32(plan.length) - place * np.int32(block))

        def step(i, _):
            t = count - np.int32(1) - i if plan.reverse else i
            # Read here, parameters go from VMEM to the multipliers, with no copy that lasts.
            values = [p.unpack(ref[...]) for p, ref in zip(consts, const_refs, strict=True)]
            state = [p.unpack(ref[...]) for p, ref in zip(carry, state_refs, strict=True)]
            x = [p.unpack(ref[t]) for p, ref in zip(xs, x_refs, strict=True)]
            new, y = kernel.body(values, state, x)
            for p, ref, value in zip(carry, state_refs, new, strict=True):
                ref[...] = p.pack(value)
            for p, ref, value in zip(ys, y_refs, y, strict=True):
                ref[t] = p.pack(value)
            return _

        lax.fori_loop(np.int32(0), count, step, np.int32(0))

    def fixed(packing, axes, is_input=True):
        def at(*index):
            return (*(index[axis] for axis in axes), *[np.int32(0)] * len(packing.shape))

        shape, once = (*[None] * len(axes), *packing.shape), is_input and not axes
        return pl.BlockSpec(shape, at, pipeline_mode=pl.Buffered(1) if once else None)

    def over_time(packing, axes):
        def at(*index):
            place = np.int32(num_blocks - 1) - index[-1] if plan.reverse else index[-1]
            return (place, *(index[axis] for axis in axes), *[np.int32(0)] * len(packing.shape))

        return pl.BlockSpec((block, *[None] * len(axes), *packing.shape), at)

    operands = [*kernel.consts, *kernel.carry, *kernel.xs]
    packings = [*consts, *carry, *xs]
    lead = [len(axes) + plan.lead(i) for i, axes in enumerate(plan.axes)]
    packed = [p.pack(x, n) for p, x, n in zip(packings, operands, lead, strict=True)]
    specs = [
        (over_time if plan.lead(i) else fixed)(p, axes)
        for i, (p, axes) in enumerate(zip(packings, plan.axes, strict=True))
    ]
    every = tuple(range(depth))
    like = kernel.carry[0]
    shapes = [result(like, (*plan.grid, *p.shape), p.dtype) for p in carry]
    shapes += [result(like, (plan.length, *plan.grid, *p.shape), p.dtype) for p in ys]
    out = pl.pallas_call(
        step_kernel,
        grid=(*plan.grid, num_blocks),
        in_specs=specs,
        out_specs=[*(fixed(p, every, False) for p in carry), *(over_time(p, every) for p in ys)],
        out_shape=shapes,
        interpret=interpret,
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=(*["parallel"] * depth, "arbitrary"), vmem_limit_bytes=limit
        ),
        cost_estimate=cost_of(kernel),
        name="jaxrnn_loop",
    )(*packed)
    leads = [depth] * len(carry) + [depth + 1] * len(ys)
    return [p.unpack(x, n) for p, x, n in zip([*carry, *ys], out, leads, strict=True)]
