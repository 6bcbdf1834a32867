"""The kernel of a loop for an NVIDIA GPU, by Pallas' Triton backend.

Each block of threads goes through all the steps of one index of the grid. It reads the constants
once, and keeps them and the carry in registers and shared memory.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.extend.core import ClosedJaxpr

from jaxrnn.engines._table import refuse
from jaxrnn.engines.pallas._columns import Blocks, Columns, cuts, evaluate, multipliers
from jaxrnn.engines.pallas._cost import cost_of
from jaxrnn.engines.pallas._kernel import Kernel
from jaxrnn.engines.pallas._packing import result

SHARED_MEMORY = 232_448  # bytes that a block can have on an H100
WARPS = 4


class _Step(NamedTuple):
    """A step as columns.

    Attributes:
      program: ``(*consts, *carry, *xs) -> (*carry, *ys)``, flat.
      ys: shapes of its results.
      unit: H, the width into which axes are cut.
      are_blocks: for each constant whether its rows are cut too.
    """

    program: ClosedJaxpr
    ys: list[jax.ShapeDtypeStruct]
    unit: int
    are_blocks: list[bool]

    @classmethod
    def of(cls, kernel: Kernel) -> "_Step":
        """The step of a loop."""
        consts, carry, xs = kernel.shapes()
        program, results = jax.make_jaxpr(
            lambda *args: _flat(kernel.body(*kernel.plan.split(args))), return_shape=True
        )(*consts, *carry, *xs)
        unit = next((x.shape[-1] for x in carry if len(x.shape) > 1), 0)
        return cls(program, results[len(carry) :], unit, multipliers(program)[: len(consts)])

    def of_rows(self, x: Any) -> int:
        """The width for the carry and sequences: a vector has a number for each row, uncut."""
        return self.unit if len(x.shape) > 1 else 0


def run(kernel: Kernel, *, interpret: bool = False) -> list[jax.Array]:
    """The carry after the last step and the results of all steps.

    Args:
      kernel: the loop.
      interpret: whether Pallas interprets it, on any platform.

    Raises:
      ValueError: Triton cannot tile its sizes, or its constants do not fit into shared memory.
    """
    step = _Step.of(kernel)
    problem = _problem(kernel, step)
    if problem:
        refuse("pallas", problem)

    plan, (_, carry, _) = kernel.plan, kernel.shapes()
    like, results = kernel.carry[0], [*carry, *step.ys]
    in_specs, out_specs = _specs(kernel, results)
    shapes = [result(like, (*plan.grid, *x.shape), _kept(x)) for x in carry]
    shapes += [result(like, (plan.length, *plan.grid, *y.shape), _kept(y)) for y in step.ys]
    out = pl.pallas_call(
        _kernel(kernel, step),
        grid=plan.grid or (1,),
        in_specs=in_specs,
        out_specs=out_specs,
        out_shape=shapes,
        interpret=interpret,
        compiler_params=_backend().CompilerParams(num_warps=WARPS, num_stages=1),
        cost_estimate=cost_of(kernel),
        name="jaxrnn_loop",
    )(*(x.astype(_kept(x)) for x in [*kernel.consts, *kernel.carry, *kernel.xs]))
    return [x.astype(like.dtype) for x, like in zip(out, results, strict=True)]


def _kernel(kernel, step):
    """What a block of threads does: it reads constants and carry, and goes through all steps."""
    plan, (consts, carry, xs) = kernel.plan, kernel.shapes()

    def run(*refs):
        refs = iter(refs)
        const_refs, first_refs, x_refs, last_refs, y_refs = (
            [next(refs) for _ in part] for part in (consts, carry, xs, carry, step.ys)
        )
        values = [
            (_read_blocks if flag else _read)(ref, x, step.unit)
            for ref, x, flag in zip(const_refs, consts, step.are_blocks, strict=True)
        ]
        first = [_read(ref, x, step.of_rows(x)) for ref, x in zip(first_refs, carry, strict=True)]

        def advance(i, state):
            t = np.int32(plan.length - 1) - i if plan.reverse else i
            at_t = [_read(ref, x, step.of_rows(x), t) for ref, x in zip(x_refs, xs, strict=True)]
            out = evaluate(step.program, [*values, *map(Columns, state), *at_t], step.unit)
            for ref, value in zip(y_refs, out[len(carry) :], strict=True):
                _write(ref, value, t)
            return [list(value) for value in out[: len(carry)]]

        last = lax.fori_loop(np.int32(0), np.int32(plan.length), advance, [list(x) for x in first])
        for ref, value in zip(last_refs, last, strict=True):
            _write(ref, value)

    return run


def _specs(kernel, results):
    """The blocks of the operands and of the results: all of one index of the grid."""
    plan = kernel.plan
    given = [x for part in kernel.shapes() for x in part]
    every, num_carry = tuple(range(len(plan.grid))), plan.num_carry
    ins = [
        _spec(x.shape, axes, plan.lead(i), plan.length)
        for i, (x, axes) in enumerate(zip(given, plan.axes, strict=True))
    ]
    outs = [_spec(x.shape, every, int(i >= num_carry), plan.length) for i, x in enumerate(results)]
    return ins, outs


def _backend():
    """Pallas' Triton backend; None where jax has none."""
    try:
        from jax.experimental.pallas import triton
    except ImportError:
        return None
    return triton


def _flat(results):
    carry, ys = results
    return [*carry, *ys]


def _kept(x):
    """The dtype in memory: a bool is an integer."""
    return jnp.dtype(jnp.int32) if x.dtype == jnp.bool else x.dtype


def _problem(kernel, step):
    consts, carry, xs = kernel.shapes()
    size = sum(math.prod(x.shape) * x.dtype.itemsize for x in consts)
    if size > SHARED_MEMORY:
        return (
            f"what it keeps takes {size} bytes, and a block of a GPU has {SHARED_MEMORY} bytes of "
            "shared memory"
        )
    if _backend() is None:
        return (
            "its GPU form needs Pallas' Triton backend, which jax deprecated in 0.11, and jax "
            f"{jax.__version__} has none"
        )
    widths = [(x, step.unit) for x, flag in zip(consts, step.are_blocks, strict=True) if not flag]
    widths += [(x, step.of_rows(x)) for x in [*carry, *xs]]
    for x, unit in widths:
        for axis, size in enumerate(x.shape):
            try:
                cuts(size, unit if axis == len(x.shape) - 1 else 0)
            except ValueError as error:
                return str(error)
    return None


def _pieces(x, unit):
    """Where the columns of an array begin, and how wide they are; None without axes."""
    widths = cuts(x.shape[-1], unit) if x.shape else []
    return list(zip(np.cumsum([0, *widths[:-1]]).tolist(), widths, strict=True))


def _read(ref, x, unit, t=None):
    lead = () if t is None else (t,)
    if not x.shape:
        pieces = [ref[lead] if lead else ref[...]]
    else:
        whole = (slice(None),) * (len(x.shape) - 1)
        pieces = [ref[(*lead, *whole, pl.ds(*piece))] for piece in _pieces(x, unit)]
    return Columns(piece != 0 if x.dtype == jnp.bool else piece for piece in pieces)


def _read_blocks(ref, x, unit):
    rows = cuts(x.shape[0], unit)
    starts = np.cumsum([0, *rows[:-1]]).tolist()
    return Blocks(
        Columns(ref[pl.ds(start, size), pl.ds(*piece)] for piece in _pieces(x, unit))
        for start, size in zip(starts, rows, strict=True)
    )


def _write(ref, value, t=None):
    lead, start = () if t is None else (t,), 0
    for piece in value:
        piece = piece.astype(ref.dtype)
        if not piece.ndim:
            ref[lead if lead else ...] = piece
            return
        whole = (slice(None),) * (piece.ndim - 1)
        ref[(*lead, *whole, pl.ds(start, piece.shape[-1]))] = piece
        start += piece.shape[-1]


def _spec(shape, axes, lead, length):
    def at(*index):
        return (*[0] * lead, *(index[axis] for axis in axes), *[0] * len(shape))

    return pl.BlockSpec((*[length] * lead, *[None] * len(axes), *shape), at)
