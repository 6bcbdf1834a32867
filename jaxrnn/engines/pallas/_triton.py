"""The kernel of a loop for an NVIDIA GPU, by Pallas' Triton backend, which jax 0.10 has.

Each block of threads goes through all the steps of one index of the grid. It reads the constants
once, and keeps them and the carry in registers and shared memory.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl

from jaxrnn.engines._table import refuse
from jaxrnn.engines.pallas._columns import Columns, cuts, evaluate
from jaxrnn.engines.pallas._cost import cost_of
from jaxrnn.engines.pallas._kernel import Kernel
from jaxrnn.engines.pallas._packing import result

SHARED_MEMORY = 232_448  # bytes that a block can have on an H100
WARPS = 4


def run(kernel: Kernel, *, interpret: bool = False) -> list[jax.Array]:
    """The carry after the last step and the results of all steps.

    Args:
      kernel: the loop.
      interpret: whether Pallas interprets it, on any platform.

    Raises:
      ValueError: Triton cannot tile its sizes, or its constants do not fit into shared memory.
    """
    problem = _problem(kernel)
    if problem:
        refuse("pallas", problem)
    from jax.experimental.pallas import triton

    plan = kernel.plan
    consts, carry, xs = kernel.shapes()
    program, ys = jax.make_jaxpr(
        lambda *args: _flat(kernel.body(*plan.split(args))), return_shape=True
    )(*consts, *carry, *xs)
    ys = ys[len(carry) :]
    unit = _unit(kernel)

    def of_rows(x):  # a vector of the carry or of a sequence has a number for each row: one piece
        return unit if len(x.shape) > 1 else 0

    def step_kernel(*refs):
        refs = iter(refs)
        const_refs, first_refs, x_refs, last_refs, y_refs = (
            [next(refs) for _ in part] for part in (consts, carry, xs, carry, ys)
        )
        values = [_read(ref, x, unit) for ref, x in zip(const_refs, consts, strict=True)]
        first = [_read(ref, x, of_rows(x)) for ref, x in zip(first_refs, carry, strict=True)]

        def step(i, state):
            t = np.int32(plan.length - 1) - i if plan.reverse else i
            at_t = [_read(ref, x, of_rows(x), t) for ref, x in zip(x_refs, xs, strict=True)]
            out = evaluate(program, [*values, *map(Columns, state), *at_t], unit)
            for ref, value in zip(y_refs, out[len(carry) :], strict=True):
                _write(ref, value, t)
            return [list(value) for value in out[: len(carry)]]

        last = lax.fori_loop(np.int32(0), np.int32(plan.length), step, [list(x) for x in first])
        for ref, value in zip(last_refs, last, strict=True):
            _write(ref, value)

    operands = [*kernel.consts, *kernel.carry, *kernel.xs]
    depth = len(plan.grid)
    every = tuple(range(depth))
    specs = [
        _spec(x.shape, axes, plan.lead(i), plan.length)
        for i, (x, axes) in enumerate(zip([*consts, *carry, *xs], plan.axes, strict=True))
    ]
    like = kernel.carry[0]
    shapes = [result(like, (*plan.grid, *x.shape), _kept(x)) for x in carry]
    shapes += [result(like, (plan.length, *plan.grid, *y.shape), _kept(y)) for y in ys]
    out = pl.pallas_call(
        step_kernel,
        grid=plan.grid or (1,),
        in_specs=specs,
        out_specs=[
            *(_spec(x.shape, every, 0, plan.length) for x in carry),
            *(_spec(y.shape, every, 1, plan.length) for y in ys),
        ],
        out_shape=shapes,
        interpret=interpret,
        compiler_params=triton.CompilerParams(num_warps=WARPS, num_stages=1),
        cost_estimate=cost_of(kernel),
        name="jaxrnn_loop",
    )(*(x.astype(_kept(x)) for x in operands))
    return [x.astype(like.dtype) for x, like in zip(out, [*carry, *ys], strict=True)]


def _flat(results):
    carry, ys = results
    return [*carry, *ys]


def _kept(x):
    """The dtype in memory: a bool is an integer."""
    return jnp.dtype(jnp.int32) if x.dtype == jnp.bool else x.dtype


def _problem(kernel):
    consts, carry, xs = kernel.shapes()
    size = sum(math.prod(x.shape) * x.dtype.itemsize for x in consts)
    if size > SHARED_MEMORY:
        return (
            f"what it keeps takes {size} bytes, and a block of a GPU has {SHARED_MEMORY} bytes of "
            "shared memory"
        )
    if jax.__version_info__ >= (0, 11):
        return "its GPU form needs Pallas' Triton backend, and jax has left that from 0.11 on"
    unit = _unit(kernel)
    for x in [*consts, *carry, *xs]:
        for axis, size in enumerate(x.shape):
            try:
                cuts(size, unit if axis == len(x.shape) - 1 else 0)
            except ValueError as error:
                return str(error)
    return None


def _unit(kernel):
    """H: the width of the carry, into which wider arrays are cut."""
    return next((x.shape[-1] for x in kernel.shapes()[1] if len(x.shape) > 1), 0)


def _pieces(x, unit):
    """Where the columns of an array begin, and how wide they are; None without axes."""
    widths = cuts(x.shape[-1], unit) if x.shape else []
    return [(i * width, width) for i, width in enumerate(widths)]


def _read(ref, x, unit, t=None):
    lead = () if t is None else (t,)
    if not x.shape:
        pieces = [ref[lead] if lead else ref[...]]
    else:
        whole = (slice(None),) * (len(x.shape) - 1)
        pieces = [ref[(*lead, *whole, pl.ds(*piece))] for piece in _pieces(x, unit)]
    return Columns(piece != 0 if x.dtype == jnp.bool else piece for piece in pieces)


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
