"""The kernel of a loop for a TPU; on a CPU, Pallas interprets it.

The last axis of its grid are blocks of time, which run one after the other. Constants and the carry
stay in VMEM for the whole sequence: their blocks do not change from one index to the next.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from jaxrnn.engines._table import refuse
from jaxrnn.engines.pallas._ahead import of_block, run_block
from jaxrnn.engines.pallas._budget import block_for, needs_of, problem_with
from jaxrnn.engines.pallas._cost import cost_of
from jaxrnn.engines.pallas._kernel import Kernel
from jaxrnn.engines.pallas._packing import Packing, result

INTERPRETED_BLOCK = 16  # steps of a block on a CPU, where nothing depends on it


class _Packings(NamedTuple):
    """How a kernel keeps its operands and the results of a step."""

    consts: list[Packing]
    carry: list[Packing]
    xs: list[Packing]
    ys: list[Packing]
    us: list[Packing]  # of projections that the kernel makes

    @classmethod
    def of(cls, kernel: Kernel) -> "_Packings":
        """For the arrays of a loop."""
        us = [var.aval for var in kernel.ahead.project.jaxpr.outvars] if kernel.ahead else []
        parts = *kernel.shapes(), kernel.results(), us
        are_columns = False, False, True, True, True
        return cls(
            *(
                [Packing.of(x, is_column) for x in part]
                for part, is_column in zip(parts, are_columns, strict=True)
            )
        )


class _Blocks(NamedTuple):
    """How the steps are divided: `count` blocks of `size`, of which the last may hang over."""

    size: int
    count: int
    limit: int | None  # bytes of VMEM to ask for; None for the default


def run(kernel: Kernel, *, interpret: bool) -> list[jax.Array]:
    """The carry after the last step and the results of all steps.

    Raises:
      ValueError: it does not fit into VMEM.
    """
    plan, like = kernel.plan, kernel.carry[0]
    packings, blocks = _Packings.of(kernel), _blocks(kernel, interpret)
    depth = len(plan.grid)
    shapes = [result(like, (*plan.grid, *p.shape), p.dtype) for p in packings.carry]
    shapes += [result(like, (plan.length, *plan.grid, *p.shape), p.dtype) for p in packings.ys]
    in_specs, out_specs = _specs(plan, packings, blocks)
    out = pl.pallas_call(
        _kernel(kernel, packings, blocks),
        grid=(*plan.grid, blocks.count),
        in_specs=in_specs,
        out_specs=out_specs,
        out_shape=shapes,
        scratch_shapes=[pltpu.VMEM((blocks.size, *p.shape), p.dtype) for p in packings.us],
        interpret=interpret,
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=(*["parallel"] * depth, "arbitrary"),
            vmem_limit_bytes=blocks.limit,
        ),
        cost_estimate=cost_of(kernel),
        name="jaxrnn_loop",
    )(*_packed(kernel, packings))
    leads = [depth] * len(packings.carry) + [depth + 1] * len(packings.ys)
    results = [*packings.carry, *packings.ys]
    return [p.unpack(x, n) for p, x, n in zip(results, out, leads, strict=True)]


def _blocks(kernel, interpret):
    """Raises if not even one step fits into VMEM."""
    length = kernel.plan.length
    if interpret:
        size, limit = min(length, INTERPRETED_BLOCK), None
    else:
        needs = needs_of(kernel)
        problem = problem_with(needs)
        if problem:
            refuse("pallas", problem)
        size, limit = block_for(needs, length)
    return _Blocks(size, -(-length // size), limit)


def _packed(kernel, packings):
    operands = [*kernel.consts, *kernel.carry, *kernel.xs]
    kept = [*packings.consts, *packings.carry, *packings.xs]
    leads = [len(axes) + kernel.plan.lead(i) for i, axes in enumerate(kernel.plan.axes)]
    return [p.pack(x, n) for p, x, n in zip(kept, operands, leads, strict=True)]


def _kernel(kernel, packings, blocks):
    """What runs at an index of the grid: the steps of one block."""
    plan, (consts, carry, xs, ys, us), ahead = kernel.plan, packings, kernel.ahead
    size, length = np.int32(blocks.size), np.int32(plan.length)
    body = ahead.step if ahead else kernel.body

    def run(*refs):
        refs = iter(refs)
        const_refs, first_refs, x_refs, state_refs, y_refs, u_refs = (
            [next(refs) for _ in part] for part in (consts, carry, xs, carry, ys, us)
        )
        index = pl.program_id(len(plan.grid))

        @pl.when(index == 0)
        def _():
            for state, first in zip(state_refs, first_refs, strict=True):
                state[...] = first[...]

        const_pairs, x_pairs = _pairs(consts, const_refs), _pairs(xs, x_refs)
        if ahead:
            fixed, of_steps = ahead.split(ahead.reads, const_pairs, x_pairs)
            given = [p.unpack(ref[...]) for p, ref in fixed]
            given += [p.unpack(ref[...], 1) for p, ref in of_steps]
            block = of_block(ahead.project, len(fixed), blocks.size)
            for p, ref, value in zip(us, u_refs, run_block(block, *given), strict=True):
                ref[...] = p.pack(value, 1)
            const_pairs, x_pairs = ahead.split(ahead.step_reads, const_pairs, x_pairs)
            x_pairs += _pairs(us, u_refs)
        place = blocks.count - 1 - index if plan.reverse else index
        count = size
        if plan.length % blocks.size:  # the last block hangs over
            count = jnp.minimum(size, length - place * size)

        def step(i, _):
            t = count - np.int32(1) - i if plan.reverse else i
            # Read here, parameters go from VMEM to the multipliers, with no copy that lasts.
            values = [p.unpack(ref[...]) for p, ref in const_pairs]
            state = [p.unpack(ref[...]) for p, ref in zip(carry, state_refs, strict=True)]
            x = [p.unpack(ref[t]) for p, ref in x_pairs]
            new, y = body(values, state, x)
            for p, ref, value in zip(carry, state_refs, new, strict=True):
                ref[...] = p.pack(value)
            for p, ref, value in zip(ys, y_refs, y, strict=True):
                ref[t] = p.pack(value)
            return _

        lax.fori_loop(np.int32(0), count, step, np.int32(0))

    return run


def _pairs(packings, refs):
    return list(zip(packings, refs, strict=True))


def _specs(plan, packings, blocks):
    """The blocks of the operands and of the results."""
    given, every = [*packings.consts, *packings.carry, *packings.xs], tuple(range(len(plan.grid)))
    ins = [
        _over_time(p, axes, plan, blocks) if plan.lead(i) else _fixed(p, axes, is_input=True)
        for i, (p, axes) in enumerate(zip(given, plan.axes, strict=True))
    ]
    outs = [_fixed(p, every, is_input=False) for p in packings.carry]
    return ins, [*outs, *(_over_time(p, every, plan, blocks) for p in packings.ys)]


def _fixed(packing, axes, is_input):
    """The block of a constant or of the carry, the same at all steps."""

    def at(*index):
        return (*(index[axis] for axis in axes), *[np.int32(0)] * len(packing.shape))

    shape, once = (*[None] * len(axes), *packing.shape), is_input and not axes
    return pl.BlockSpec(shape, at, pipeline_mode=pl.Buffered(1) if once else None)


def _over_time(packing, axes, plan, blocks):
    """The block of a sequence."""

    def at(*index):
        place = np.int32(blocks.count - 1) - index[-1] if plan.reverse else index[-1]
        return (place, *(index[axis] for axis in axes), *[np.int32(0)] * len(packing.shape))

    return pl.BlockSpec((blocks.size, *[None] * len(axes), *packing.shape), at)
