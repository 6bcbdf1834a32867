"""``implementation="native"``: unroll by C++ kernels, on a CPU."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._loop import Loop, varying_like
from jaxrnn._masking import over_batch
from jaxrnn._types import Carry, Cell, Params
from jaxrnn.kernels._calls import forward, training_forward
from jaxrnn.kernels._library import problem
from jaxrnn.kernels._pullback import Primals
from jaxrnn.kernels._recurrence import (
    KERNELS,
    Flags,
    Kernel,
    Recurrence,
    States,
    Weights,
)
from jaxrnn.kernels._tangent import tangent

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
    if h.dtype not in (jnp.float32, jnp.float64):
        return f"there are native kernels for float32 and float64, not for {h.dtype}"
    u = jax.eval_shape(cell.project, params, x)
    wanted = (*h.shape[:-1], kernel.gates * h.shape[-1])
    if not hasattr(u, "shape") or (u.shape, u.dtype) != (wanted, h.dtype):
        return f"its kernel needs a `project` that gives {h.dtype} {wanted}, and this one gives {u}"
    return None


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
    us = cell.project(params, xs)
    recurrence = Recurrence(kernel_for(cell), loop.reverse, level)
    weights = Weights(params.recurrent_kernel, getattr(params, "recurrent_bias", None))
    states = States(carry, None if resets is None else initial)
    batch = us.shape[1:-1]
    flags = jax.tree.map(lambda flag: over_batch(flag, us.shape[:-1], True), Flags(mask, resets))
    args = varying_like(us, (weights, _merge(states, 0, batch), _merge((us, flags), 1, batch)))
    weights, states, (us, flags) = args
    last, ys = _recur(recurrence, weights, states, us, flags)
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
def _recur(recurrence, weights, states, us, flags):
    return forward(recurrence, weights, states, us, flags)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _train(recurrence, weights, states, us, flags):
    return training_forward(recurrence, weights, states, us, flags)


@_train.defjvp
def _train_jvp(recurrence, primals, tangents):
    weights, states, us, flags = primals
    out, saved = _train(recurrence, weights, states, us, flags)
    dout = tangent(recurrence, Primals(weights, states, us), flags, saved, Primals(*tangents[:3]))
    # What is saved only tells the backward kernel again what the arguments tell the general rule.
    return (out, saved), (dout, jax.tree.map(jnp.zeros_like, saved))


@_recur.defjvp
def _recur_jvp(recurrence, primals, tangents):
    (out, _), (dout, _) = _train_jvp(recurrence, primals, tangents)
    return out, dout
