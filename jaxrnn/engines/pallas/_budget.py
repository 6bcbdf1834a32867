"""What a kernel needs of VMEM, the memory of a TPU core, and the block of time that fits."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental.pallas import tpu as pltpu

from jaxrnn.engines.pallas._kernel import Kernel
from jaxrnn.engines.pallas._packing import Packing

LANES, SUBLANES = 128, 8
BLOCKS = (64, 32, 16, 8, 4, 2, 1)  # steps of a block
MIB = 2**20
ALIVE = 4  # intermediate results of a step as large as its largest: the compiler keeps fewer
SPARE = MIB // 2  # for what the compiler keeps for itself
COPIED = 12  # it copies parts of large constants: one in so many bytes, measured on those of a GRU
ENOUGH = 8 * MIB  # of sequences: larger blocks hide no more of the time that copies take
DEFAULT_LIMIT = 16 * MIB  # what XLA lets a kernel use unless it asks for more
SMALLEST = 16 * MIB  # of all chips


class Needs(NamedTuple):
    """Bytes of VMEM.

    Attributes:
      fixed: constants, the carry and the intermediate results of a step.
      each_step: what a block needs for each of its steps.
      projected: what of this are projections that the kernel makes, which no copy brings.
    """

    fixed: int
    each_step: int
    projected: int = 0

    def of(self, block: int) -> int:
        """With blocks of so many steps."""
        return self.fixed + block * self.each_step


def padded_bytes(shape: tuple[int, ...], dtype: Any) -> int:
    """Bytes of an array in VMEM, where the last two axes are padded to whole tiles."""
    size = jnp.dtype(dtype).itemsize
    *lead, rows, columns = (1, 1, *shape)
    tile = SUBLANES * max(1, 4 // size)
    rows, columns = -(-rows // tile) * tile, -(-columns // LANES) * LANES
    return math.prod(lead) * rows * columns * size


def needs_of(kernel: Kernel) -> Needs:
    """What the kernel of a loop needs; it reads shapes alone."""
    consts, carry, xs = kernel.shapes()
    given, ahead, projected = xs, kernel.ahead, 0
    step, step_consts = kernel.body, consts
    if ahead:
        us = [var.aval for var in ahead.project.jaxpr.outvars]
        projected = sum(_packed_bytes(u) for u in us) + _alive(ahead.project.jaxpr)
        step, (step_consts, given) = ahead.step, ahead.split(ahead.step_reads, consts, xs)
        given = [*given, *(jax.ShapeDtypeStruct(u.shape, u.dtype) for u in us)]
    jaxpr, (_, ys) = jax.make_jaxpr(step, return_shape=True)(step_consts, carry, given)
    is_same = [not axes for axes in kernel.plan.axes[: len(consts)]]
    fixed = sum(_bytes(x) * (1 if same else 2) for x, same in zip(consts, is_same, strict=True))
    fixed += fixed // COPIED + 4 * sum(map(_bytes, carry)) + _alive(jaxpr)
    copied = 2 * sum(_packed_bytes(x) for x in [*xs, *ys])
    return Needs(fixed + SPARE, copied + projected, projected)


def _alive(jaxpr):
    """What the intermediate results of a program need."""
    made = [_bytes(var.aval) for equation in jaxpr.eqns for var in equation.outvars]
    return min(sum(made), ALIVE * max(made, default=0))


def _bytes(x):
    return padded_bytes(x.shape, jnp.int32 if x.dtype == jnp.bool else x.dtype)


def _packed_bytes(x):
    packing = Packing.of(x, is_column=True)
    return padded_bytes(packing.shape, packing.dtype)


def vmem() -> tuple[str, int]:
    """The TPU that a program is lowered for, in words, and the bytes of VMEM of one of its cores.

    Without one, such as on a CPU, what every chip has.
    """
    try:
        info = pltpu.get_tpu_info()
    except ValueError:
        return "the smallest TPU, as none is known here", SMALLEST
    return f"a TPU {info.chip_version}", info.vmem_capacity_bytes


def problem_with(needs: Needs) -> str | None:
    """Why a kernel does not fit into VMEM; None if it does."""
    device, capacity = vmem()
    if needs.of(1) <= capacity:
        return None
    return (
        f"its kernel needs {needs.of(1) / MIB:.1f} MiB of VMEM with one step at a time, "
        f"{needs.fixed / MIB:.1f} of them for parameters, carry and intermediate results, and "
        f"{device} has {capacity / MIB:.0f} MiB"
    )


def block_for(needs: Needs, length: int) -> tuple[int, int | None]:
    """Steps of a block for T steps, and the limit of VMEM to ask for; None for the default."""
    _, capacity = vmem()
    for block in BLOCKS:
        copied = block * (needs.each_step - needs.projected)
        is_small = copied <= ENOUGH and block < 2 * length
        if block == 1 or (is_small and needs.of(block) <= capacity):
            break
    return min(block, length), needs.of(block) if needs.of(block) > DEFAULT_LIMIT else None
