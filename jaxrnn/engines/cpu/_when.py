"""Whether a native kernel can run a cell here, and whether it pays."""

import math
from typing import NamedTuple

import jax

from jaxrnn._core.checks import example
from jaxrnn._core.dependency import reads
from jaxrnn._core.noise import batch_axes, without_noise
from jaxrnn._core.numerics import sum_dtype
from jaxrnn._core.of_field import unwrapped, unwrapped_params
from jaxrnn._core.types import Cell, hidden
from jaxrnn.cells._gated import project
from jaxrnn.engines._associative import LARGE
from jaxrnn.engines._table import Call
from jaxrnn.engines.cpu._library import problem
from jaxrnn.engines.cpu._program_kernel import why_no_program
from jaxrnn.engines.kernel._operands import kernel_for

DTYPES = ("float32", "float64", "bfloat16")  # bfloat16 with sums and gates in float32


class Sizes(NamedTuple):
    """From where on a native kernel is not slower than ``"xla"``."""

    largest_kernel: float  # bytes of the recurrent kernel; of all parameters of a program
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
    # Of like speed or faster (1.0 to 1.7 times, on the EPYC), and it compiles in a quarter of the
    # time.
    Sizes(largest_kernel=2**20, fewest_rows=8, fewest_steps=8),
)

# The same for the cells that run by a program, measured for coupled_lstm, layer_norm_gru, lem and
# indrnn on two cores of an Intel Xeon with AVX-512. At these sizes "xla" took 1.0 to 2.7 times as
# long, forward and in training, but for an indrnn of 1,000 units on one or two rows (0.83 to 0.99).
PROGRAM_RULE = (
    Sizes(largest_kernel=2**18, fewest_rows=1, fewest_steps=4),
    Sizes(largest_kernel=2**22, fewest_rows=1, fewest_steps=64),
    Sizes(largest_kernel=2**22, fewest_rows=4, fewest_steps=16),
    Sizes(largest_kernel=math.inf, fewest_rows=8, fewest_steps=16),
)

# The numbers of the state of a linear cell for one of its output, from which on it runs step by
# step. Its products are over all steps at once, so few rows do not matter.
WIDE = 4
WIDE_RULE = (Sizes(largest_kernel=math.inf, fewest_rows=1, fewest_steps=4),)

# A single step of one sequence, which packs nothing, pays from this many bytes on. On two cores of
# an Intel Xeon it took 0.5 to 1.1 of the time of "xla" where each step is called from Python. There
# XLA hands a program of more than 1,000 operations to another thread, and counts none in a kernel
# of ours. In a compiled loop, as of a decoder, it took 0.5 to 1.3, but an elman of 64 units 1.9.
SINGLE_STEP = 2**14


def why_not(cell: Cell, call: Call | None) -> str | None:
    """Why no native kernel can run `cell` here; None if one can. Reads shapes alone."""
    platform = jax.default_backend()
    if platform != "cpu":
        return f"native kernels are for a CPU, and arrays are on {platform} here"
    if call is None:
        return None
    reason = why_not_written(cell, call)
    if reason is None:
        return problem()
    missing = why_no_program(cell, call)
    if missing is None:
        return problem()
    return missing if kernel_for(cell) is None else reason


def why_not_written(cell: Cell, call: Call) -> str | None:
    """Why none of the kernels written for lstm, gru and elman can run `cell`."""
    kernel = kernel_for(cell)
    if kernel is None:
        return "there is no kernel written for its state equation"
    return _unfit(kernel, cell, call) or _reads_more(cell, call)


def _unfit(kernel, cell, call):
    h = call.carry.h
    params = unwrapped_params(cell, call.params)
    dtypes = {leaf.dtype.name for leaf in jax.tree.leaves((params, call.carry))}
    if len(dtypes) > 1 or not dtypes <= set(DTYPES):
        return f"there are native kernels for {_listed(DTYPES)}, not for {_listed(sorted(dtypes))}"
    u = jax.eval_shape(cell.project, call.params, example(call.xs))
    wanted = (*h.shape[:-1], kernel.gates * h.shape[-1]), sum_dtype(h.dtype)
    if not hasattr(u, "shape") or (u.shape, u.dtype) != wanted:
        return (
            f"its kernel needs a `project` that gives {wanted[1]} {wanted[0]}, and this one gives "
            f"{u}"
        )
    return None


def _reads_more(cell, call):
    """Whether the output reads more of the carry than h, which the kernel hands out."""
    if cell.output is hidden or len(call.carry) == 1:
        return None
    u = jax.eval_shape(cell.project, call.params, example(call.xs))

    def output(fixed, others):
        params, h, u = fixed
        return cell.output(params, type(call.carry)(h, *others), u)

    h, *others = call.carry
    if reads(output, (call.params, h, u), others):
        return "its output reads more of the carry than h, and the kernel hands out h alone"
    return None


def _listed(names):
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last


def too_small(cell: Cell, call: Call, *, is_wide: bool = False) -> str | None:
    """Why ``implementation=None`` does not take the native kernel; None if it does.

    Args:
      cell: a `Cell`.
      call: its arrays.
      is_wide: whether it is linear and `has_wide_state`.
    """
    x = example(call.xs)
    length = jax.tree.leaves(call.xs)[0].shape[0]
    rows = math.prod(batch_axes(without_noise(x), cell.num_feature_axes))
    if any(map(jax.export.is_symbolic_dim, (length, rows))):
        return f"{length} steps of {rows} sequences are sizes that `jax.export` leaves open"
    if kernel_for(cell) is None:
        rule, size = WIDE_RULE if is_wide else PROGRAM_RULE, _bytes(call.params)
    else:
        rule, size = RULE, _bytes(unwrapped_params(cell, call.params).recurrent_kernel)
        if length == rows == 1 and size >= SINGLE_STEP and _is_plain(cell, call):
            return None
    for least in rule:
        fits = size <= least.largest_kernel and rows >= least.fewest_rows
        if fits and length >= least.fewest_steps:
            return None
    return (
        f"{length} steps of {rows} sequences with {size} bytes of weights are too few to be "
        "faster by it"
    )


def _is_plain(cell, call):
    """Whether a step has no flags, and its kernel multiplies the inputs too."""
    return call.mask is call.resets is None and unwrapped(cell).project is project


def has_wide_state(cell: Cell, call: Call) -> bool:
    """Whether the state is several times as large as the output, as a matrix for each head is.

    Step by step in the cache such a state is faster than all states at once: 200 to 2,000 steps of
    1 to 32 rows of `retention`, `mlstm`, `delta_net`, `gated_linear_attention` and `mamba` took 0.1
    to 1.05 of the time of "xla" and of "associative", on 2 cores of an Intel Xeon.
    """
    sizes = jax.tree.leaves(call.carry)[0].shape
    if any(map(jax.export.is_symbolic_dim, sizes)):
        return False
    u = jax.eval_shape(cell.project, call.params, example(call.xs))
    y = jax.eval_shape(lambda *args: cell.output(*args), call.params, call.carry, u)
    return _numbers(call.carry) >= WIDE * _numbers(y)


def keeps_too_much(cell: Cell, call: Call) -> str | None:
    """Why a linear cell runs by "associative", which can keep the states of a few steps alone."""
    length = jax.tree.leaves(call.xs)[0].shape[0]
    size = _numbers(call.carry)
    if length * size <= LARGE:
        return None
    return f"a gradient would keep the states of {length} steps, {length * size} numbers"


def _numbers(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def _bytes(tree):
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
