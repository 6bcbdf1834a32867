"""What the native kernels compute: a cell over a whole sequence.

The arguments come in three kinds, by where their batch axis is: weights have none, states (B, H)
have it first, and sequences (T, B, ...) second. Under `jax.vmap` the mapped axis joins it.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax

from jaxrnn._derivative import trajectory
from jaxrnn._gates import recur
from jaxrnn._loop import Loop
from jaxrnn._masking import blank, masked, resetting, resetting_params
from jaxrnn._precision import affine
from jaxrnn._tanh import tanh
from jaxrnn._types import Carry, Cell
from jaxrnn.cells import _elman, _gru, _lstm


class Kernel(NamedTuple):
    """A cell that has native kernels."""

    number: int  # in native/kernels.h
    gates: int  # G
    recur: Callable
    update: Callable


KERNELS = (
    Kernel(0, 4, recur, _lstm._update),
    Kernel(1, 3, recur, _gru._update),
    Kernel(2, 1, recur, _elman._update(tanh)),
    Kernel(3, 1, recur, _elman._update(jax.nn.relu)),
)


class Recurrence(NamedTuple):
    """The choices that are fixed when a program is compiled."""

    kernel: Kernel
    reverse: bool
    level: str | None  # an instruction set of `_library.LEVELS`; None for the best


class Weights(NamedTuple):
    kernel: jax.Array | None  # (I, G*H); None where the inputs are projected already
    bias: jax.Array | None  # (G*H,), likewise
    recurrent_kernel: jax.Array  # (H, G*H)
    recurrent_bias: jax.Array | None  # (H,), GRU only


class States(NamedTuple):
    carry: Carry  # before the first step
    initial: Carry | None  # to which resets return; None without resets


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
    ys: jax.Array  # (T, B, H)


def reference(recurrence: Recurrence, primals: Primals, flags: Flags) -> Result:
    """The same by the general rule, for derivatives that have no kernel."""
    (weights, (carry, initial), inputs), (mask, resets) = primals, flags
    kernel, loop = recurrence.kernel, Loop(inputs.shape[0], recurrence.reverse)
    us = inputs if weights.kernel is None else affine(inputs, weights.kernel, weights.bias)
    cell = Cell(None, None, _as_it_is, kernel.recur, kernel.update)
    params, us = weights, blank(mask, us)
    if resets is not None:
        cell, params = resetting(cell), resetting_params(cell, params, initial)
        us = (us, resets)
    if mask is not None:
        cell, us = masked(cell), (us, mask)
    out = trajectory(cell, loop, False, params, carry, us)
    return Result(out.carry, out.ys)


def _as_it_is(_, u):
    return u
