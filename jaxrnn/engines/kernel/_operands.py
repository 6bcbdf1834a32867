"""What a kernel computes: a cell over a whole sequence.

The arguments come in three kinds, by where their batch axis is: weights have none, states (B, H)
have it first, and sequences (T, B, ...) second. Under `jax.vmap` the mapped axis joins it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxrnn._core.derivative import states as run_states
from jaxrnn._core.loop import Loop
from jaxrnn._core.masking import masked, resetting, resetting_params, zero_where_masked
from jaxrnn._core.numerics import affine, tanh
from jaxrnn._core.of_field import unwrapped
from jaxrnn._core.types import Carry, Cell
from jaxrnn.cells._gated import recur
from jaxrnn.cells.gated import _elman, _gru, _lstm
from jaxrnn.engines._schedule import schedule


class Kernel(NamedTuple):
    """A cell that has kernels, known by the very functions of the cell."""

    name: str
    gates: int  # G
    recur: Callable
    update: Callable

    outs = (0,)  # the leaves of the carry that are handed out after each step

    @staticmethod
    def ys(leaves: list) -> Any:
        """What `Result.ys` is, from its leaves."""
        return leaves[0]


KERNELS = (
    Kernel("lstm", 4, recur, _lstm.update),
    Kernel("gru", 3, recur, _gru.update),
    Kernel("elman tanh", 1, recur, _elman.update_with(tanh)),
    Kernel("elman relu", 1, recur, _elman.update_with(jax.nn.relu)),
)


def kernel_for(cell: Cell) -> Kernel | None:
    """The kernel for the state equation of `cell`; None without one."""
    cell = unwrapped(cell)
    for kernel in KERNELS:
        if cell.recur is kernel.recur and cell.update is kernel.update:
            return kernel
    return None


class Backend(NamedTuple):
    """The calls that a platform has for the kernels, each a function of the recurrence first.

    Attributes:
      forward: ``(recurrence, primals, flags) -> Result``.
      training_forward: the same, with what `backward` needs: ``-> (Result, Saved)``.
      backward: ``(recurrence, primals, flags, saved, dresult) -> Cotangents``.
      products: ``(recurrence, primals, flags, saved, cotangents, of_weights, of_inputs)
        -> Products``.
      reference: as `forward`, by the general rule, for derivatives that have no kernel.
    """

    forward: Callable
    training_forward: Callable
    backward: Callable
    products: Callable
    reference: Callable


class Recurrence(NamedTuple):
    """The choices that are fixed when a program is compiled."""

    kernel: Kernel
    reverse: bool
    backend: Backend
    variant: str | None = None  # of the backend, such as an instruction set; None for the best


class Weights(NamedTuple):
    kernel: jax.Array | None  # (I, G*H); None where the inputs are projected already
    bias: jax.Array | None  # (G*H,), likewise
    recurrent_kernel: jax.Array  # (H, G*H)
    recurrent_bias: jax.Array | None  # (H,), GRU only


class States(NamedTuple):
    carry: Carry  # before the first step
    initial: Carry | None  # the carry that resets restore; None without resets


class Flags(NamedTuple):
    mask: jax.Array | None  # bool (T, B)
    resets: jax.Array | None  # bool (T, B)


class Primals(NamedTuple):
    """The arguments that have tangents."""

    weights: Weights
    states: States
    inputs: jax.Array  # xs (T, B, I); without a kernel us (T, B, G*H)


class Result(NamedTuple):
    carry: Carry  # after the last step
    ys: jax.Array  # (T, B, H), h after each step; zero where the mask is False


class Saved(NamedTuple):
    """What the backward pass needs from the forward pass; None where a cell has no such array.

    Gates and `extra` are in the dtype of the sums, the others in the dtype of the cell.
    """

    ys: jax.Array  # (T, B, H)
    gates: jax.Array | None  # (T, B, G*H), activated, where `ys` are not the very gates
    previous: jax.Array | None  # (T, B, H), h before each step where `ys` does not tell it
    extra: jax.Array | None  # (T, B, H), c before each step of an LSTM, U_n h + d of a GRU


class Cotangents(NamedTuple):
    carry: Any  # (B, H) a leaf
    initial: Any  # the same; zeros without resets
    us: jax.Array  # (T, B, G*H)
    vs: jax.Array | None  # (T, B, H), of U_n h + d; GRU only


class Products(NamedTuple):
    """What follows from the cotangents by a product over all steps; None where it is not asked."""

    weights: Weights
    inputs: jax.Array | None  # (T, B, I)


def reference(recurrence: Recurrence, primals: Primals, flags: Flags) -> Result:
    """The same by the general rule, for derivatives that have no kernel."""
    (weights, (carry, initial), inputs), (mask, resets) = primals, flags
    kernel, loop = recurrence.kernel, Loop(inputs.shape[0], recurrence.reverse)
    inputs = zero_where_masked(mask, inputs)
    us = inputs if weights.kernel is None else affine(inputs, weights.kernel, weights.bias)
    cell = Cell(None, None, _given, kernel.recur, kernel.update)
    params = weights
    if resets is not None:
        cell, params = resetting(cell), resetting_params(cell, params, initial)
        us = (us, resets)
    if mask is not None:
        cell, us = masked(cell), (us, mask)
    plan = schedule(in_blocks=False, keeps_sum=False)
    out = run_states(cell, loop, plan, params, carry, us)
    return Result(out.last, cell.output(params, out.after, us))


def _given(_, u):
    return u
