"""Whether cuDNN can run a cell here. Reads shapes alone."""

import math

import jax

from jaxrnn._core.types import Cell, hidden
from jaxrnn.cells._gated import project
from jaxrnn.engines._table import Call
from jaxrnn.engines.kernel._operands import kernel_for


def why_not(cell: Cell, call: Call | None) -> str | None:
    """Why cuDNN cannot run `cell` here; None if it can."""
    platform = jax.default_backend()
    if platform != "gpu":
        return f"cuDNN is for an NVIDIA GPU, and arrays are on {platform} here"
    return _missing() or _other_equations(cell) or (call and _unfit(cell, call))


def _missing():
    from jax.experimental import rnn

    if getattr(rnn.gpu_rnn, "_cuda_rnn", None) is None:
        return "`jax.experimental.rnn` finds no cuDNN: it comes with `pip install 'jax[cuda13]'`"
    return None


def _other_equations(cell):
    kernel = kernel_for(cell)
    if kernel is None or kernel.name != "lstm":
        return (
            "`jax.experimental.rnn` has the state equation of `jaxrnn.lstm` with sigmoid and tanh "
            "alone, and a wrapper that changes `recur` or `update` makes another"
        )
    if cell.project is not project:
        return "cuDNN computes W x + b itself, and the `project` of this cell is another"
    if cell.output is not hidden:
        return "cuDNN hands out h at each step, and the `output` of this cell is another"
    return None


def _unfit(cell, call):
    h = call.carry.h
    if any(map(jax.export.is_symbolic_dim, (*call.xs.shape, *h.shape))):
        return f"`jax.export` leaves sizes of {tuple(call.xs.shape)} open"
    dtypes = {leaf.dtype.name for leaf in jax.tree.leaves((call.params, call.carry))}
    if dtypes != {"float32"}:
        return f"`jax.experimental.rnn` computes in float32, not in {', '.join(sorted(dtypes))}"
    if call.resets is not None:
        return "cuDNN has no resets"
    if math.prod(h.shape[:-1]) == 0:
        return "cuDNN needs one sequence at least"
    return None
