"""Whether Pallas can run a cell here."""

import jax

from jaxrnn._core.types import Cell
from jaxrnn.engines._table import Call

PLATFORMS = ("cpu", "tpu", "gpu", "cuda")


def why_not(cell: Cell, call: Call) -> str | None:
    """Why Pallas cannot run `cell` here; None if it can. Reads shapes alone."""
    platform = jax.default_backend()
    if platform not in PLATFORMS:
        return f"Pallas runs on a CPU, a TPU or an NVIDIA GPU, and arrays are on {platform} here"
    leaves = jax.tree.leaves((call.carry, call.xs))
    if any(jax.export.is_symbolic_dim(size) for leaf in leaves for size in leaf.shape):
        return "`jax.export` leaves sizes open"
    return None
