"""Whether a native kernel can run a cell here, and whether it is chosen unasked."""

from typing import Any

import jax

from jaxrnn._types import Carry, Cell, Params
from jaxrnn.kernels._library import problem
from jaxrnn.kernels._native import unfit


def why_not(cell: Cell, params: Params, carry: Carry, x: Any) -> str | None:
    """Why no native kernel can run `cell` here; None if one can."""
    platform = jax.default_backend()
    if platform != "cpu":
        return f"native kernels are for a CPU, and arrays are on {platform} here"
    return unfit(cell, params, carry, x) or problem()


def why_not_chosen(cell: Cell, params: Params, carry: Carry, x: Any) -> str | None:
    """Why ``implementation=None`` does not take the native kernel; None if it does."""
    if jax.device_count() > 1:
        return (
            "there are several devices, and XLA cannot divide a kernel between them; within "
            "`jax.shard_map` it can be asked for by name"
        )
    return why_not(cell, params, carry, x)
