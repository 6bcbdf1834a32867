"""Whether a native kernel can run a cell here, and whether it is chosen unasked."""

import math
from typing import Any, NamedTuple

import jax

from jaxrnn._types import Carry, Cell, Params
from jaxrnn.kernels._library import problem
from jaxrnn.kernels._native import unfit


class Sizes(NamedTuple):
    """From where on a native kernel is not slower than ``"xla"``."""

    largest_kernel: float  # bytes of the recurrent kernel
    fewest_rows: int  # B, all batch axes together
    fewest_steps: int  # T


# Any one of these suffices. Each call packs the recurrent kernel, which few steps do not repay; a
# kernel that does not stay in the cache is read again at each step, which few rows do not repay.
# Measured on two cores of an Intel Xeon with 2 MiB of cache each, and of an AMD EPYC with 1 MiB:
# `python -m benchmarks.rule`. The second row was measured on the EPYC alone.
RULE = (
    Sizes(largest_kernel=2**20, fewest_rows=1, fewest_steps=64),
    Sizes(largest_kernel=2**22, fewest_rows=1, fewest_steps=128),
    Sizes(largest_kernel=2**20, fewest_rows=2, fewest_steps=16),
    Sizes(largest_kernel=math.inf, fewest_rows=2, fewest_steps=64),
    Sizes(largest_kernel=math.inf, fewest_rows=8, fewest_steps=16),
)


def why_not(cell: Cell, params: Params, carry: Carry, x: Any) -> str | None:
    """Why no native kernel can run `cell` here; None if one can."""
    platform = jax.default_backend()
    if platform != "cpu":
        return f"native kernels are for a CPU, and arrays are on {platform} here"
    return unfit(cell, params, carry, x) or problem()


def why_not_chosen(cell: Cell, params: Params, carry: Carry, x: Any, length: int) -> str | None:
    """Why ``implementation=None`` does not take the native kernel; None if it does."""
    if jax.device_count() > 1:
        return (
            "there are several devices, and XLA cannot divide a kernel between them; within "
            "`jax.shard_map` it can be asked for by name"
        )
    return why_not(cell, params, carry, x) or _too_small(params, carry, length)


def _too_small(params, carry, length):
    kernel = params.recurrent_kernel
    size, rows = kernel.size * kernel.dtype.itemsize, math.prod(carry.h.shape[:-1])
    if any(map(jax.export.is_symbolic_dim, (length, rows))):
        return f"{length} steps of {rows} sequences are sizes that `jax.export` leaves open"
    if length == rows == 1:
        return None  # a kernel of its own packs nothing
    for least in RULE:
        fits = size <= least.largest_kernel and rows >= least.fewest_rows
        if fits and length >= least.fewest_steps:
            return None
    return (
        f"{length} steps of {rows} sequences with a recurrent kernel of {size} bytes are too few "
        "to be faster by it"
    )
