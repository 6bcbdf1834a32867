"""``implementation="native"``: unroll by C++ kernels, on a CPU."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._gates import project
from jaxrnn._loop import Loop, varying_like
from jaxrnn._masking import over_batch
from jaxrnn._precision import sum_dtype
from jaxrnn._types import Carry, Cell, Params
from jaxrnn.kernels._calls import forward, training_forward
from jaxrnn.kernels._export import exportable, saving
from jaxrnn.kernels._library import problem
from jaxrnn.kernels._recurrence import (
    KERNELS,
    Flags,
    Kernel,
    Primals,
    Recurrence,
    States,
    Weights,
    reference,
)
from jaxrnn.kernels._tangent import tangent

DTYPES = ("float32", "float64", "bfloat16")  # bfloat16 with sums and gates in float32
NO_KERNEL = (
    "there are native kernels for lstm, gru and elman with tanh or relu, and for no wrapped cell"
)


def kernel_for(cell: Cell) -> Kernel | None:
    """The kernel that runs `cell`, known by the very functions of the cell; None without one."""
    for kernel in KERNELS:
        if cell.recur is kernel.recur and cell.update is kernel.update:
            return kernel
    return None


def unfit(cell: Cell, params: Params, carry: Carry, x: Any) -> str | None:
    """Why no native kernel runs `cell`; None if one does.

    Args:
      cell: the cell.
      params: its parameters; of these, `carry` and `x` only shapes and dtypes are read.
      carry: a carry, (..., H) a leaf.
      x: an example of one step.
    """
    kernel = kernel_for(cell)
    if kernel is None:
        return NO_KERNEL
    h = jax.tree.leaves(carry)[0]
    dtypes = {leaf.dtype.name for leaf in jax.tree.leaves((params, carry))}
    if len(dtypes) > 1 or not dtypes <= set(DTYPES):
        return f"there are native kernels for {_listed(DTYPES)}, not for {_listed(sorted(dtypes))}"
    u = jax.eval_shape(cell.project, params, x)
    wanted = (*h.shape[:-1], kernel.gates * h.shape[-1]), sum_dtype(h.dtype)
    if not hasattr(u, "shape") or (u.shape, u.dtype) != wanted:
        return (
            f"its kernel needs a `project` that gives {wanted[1]} {wanted[0]}, and this one gives "
            f"{u}"
        )
    return None


def _listed(names):
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last


def run(
    cell: Cell,
    loop: Loop,
    params: Params,
    carry: Carry,
    initial: Carry,
    xs: Any,
    mask: jax.Array | None,
    resets: jax.Array | None,
    *,
    level: str | None = None,
) -> tuple[Carry, jax.Array]:
    """Runs `cell` over a sequence.

    Args:
      cell: one that `unfit` finds nothing against.
      loop: the number of steps and their direction.
      params: of the cell.
      carry: before the first step, (..., H) a leaf.
      initial: the carry to which resets return.
      xs: inputs (T, ..., I); where `mask` is False they must be finite.
      mask: bool, the leading axes of `xs` or some of them.
      resets: likewise.
      level: the instruction set, one of ``_library.levels()``; None for the best.

    Returns:
      The carry after the last step, and the outputs (T, ..., H).

    Raises:
      RuntimeError: the kernels are not there; says why, and what helps.
    """
    reason = problem()
    if reason is not None:
        raise RuntimeError(reason)
    fused = cell.project is project  # which the kernel has within
    inputs = xs if fused else cell.project(params, xs)
    weights = Weights(
        params.kernel if fused else None,
        params.bias if fused else None,
        params.recurrent_kernel,
        getattr(params, "recurrent_bias", None),
    )
    recurrence = Recurrence(kernel_for(cell), loop.reverse, level)
    states = States(carry, None if resets is None else initial)
    steps, *batch = inputs.shape[:-1]
    flags = jax.tree.map(lambda flag: over_batch(flag, (steps, *batch), True), Flags(mask, resets))
    sequences = _merge((inputs, flags), 1, batch)
    args = varying_like(inputs, (weights, _merge(states, 0, batch), sequences))
    weights, states, (inputs, flags) = args
    last, ys = _recur(recurrence, Primals(weights, states, inputs), flags)
    return _split(last, 0, batch), _split(ys, 1, batch)


def _merge(tree, axis, batch):
    rows = math.prod(batch)

    def merge(leaf):
        return leaf.reshape(*leaf.shape[:axis], rows, *leaf.shape[axis + len(batch) :])

    return jax.tree.map(merge, tree)


def _split(tree, axis, batch):
    def split(leaf):
        return leaf.reshape(*leaf.shape[:axis], *batch, *leaf.shape[axis + 1 :])

    return jax.tree.map(split, tree)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _recur(recurrence, primals, flags):
    kernel, general = (functools.partial(f, recurrence) for f in (forward, reference))
    return exportable(kernel, general)(primals, flags)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _train(recurrence, primals, flags):
    kernel, general = (functools.partial(f, recurrence) for f in (training_forward, reference))
    return exportable(kernel, saving(kernel, general))(primals, flags)


@_train.defjvp
def _train_jvp(recurrence, args, tangents):
    primals, flags = args
    out, saved = _train(recurrence, primals, flags)
    dout = tangent(recurrence, primals, flags, saved, tangents[0])
    # What is saved only tells the backward kernel again what the arguments tell the general rule.
    return (out, saved), (dout, jax.tree.map(jnp.zeros_like, saved))


@_recur.defjvp
def _recur_jvp(recurrence, args, tangents):
    (out, _), (dout, _) = _train_jvp(recurrence, args, tangents)
    return out, dout
