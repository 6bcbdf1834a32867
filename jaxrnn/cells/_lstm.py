"""Long short-term memory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._checks import check_params, check_size
from jaxrnn._gates import draw_gates, project, recur
from jaxrnn._initializers import Initializer, glorot_uniform, orthogonal, unit_forget_bias
from jaxrnn._precision import wide_update
from jaxrnn._tanh import tanh
from jaxrnn._types import Cell


class LSTMParams(NamedTuple):
    kernel: jax.Array  # (I, 4H), gates i f g o
    recurrent_kernel: jax.Array  # (H, 4H)
    bias: jax.Array  # (4H,)


class LSTMCarry(NamedTuple):
    h: jax.Array  # (..., H)
    c: jax.Array  # (..., H)


def lstm(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(4),
    recurrent_kernel_init: Initializer = orthogonal(4),
    bias_init: Initializer = unit_forget_bias(),
) -> Cell:
    """Long short-term memory cell.

        i, f, g, o = W x + U h + b
        c' = σ(f) c + σ(i) tanh(g)
        h' = σ(o) tanh(c')

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, 4H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 4H).
      bias_init: draws `bias` (4H,); ``jaxrnn.initializers.chrono(max_time)`` for long dependencies.

    Returns:
      A `Cell` with parameters `LSTMParams` and carry `LSTMCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer.

    References: Hochreiter and Schmidhuber, 1997, "Long short-term memory"; Gers, Schmidhuber and
    Cummins, 2000, "Learning to forget: continual prediction with LSTM".
    """
    check_size("hidden_size", hidden_size)

    inits = kernel_init, recurrent_kernel_init, bias_init

    def init(key, x):
        return LSTMParams(*draw_gates(key, x, hidden_size, 4, inits))

    def init_carry(params, x):
        check_params(params, LSTMParams)
        zeros = jnp.zeros((*x.shape[:-1], hidden_size), params.kernel.dtype)
        return LSTMCarry(zeros, jnp.zeros_like(zeros))

    return Cell(init, init_carry, project, recur, _update)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    i, f, g, o = jnp.split(u + v, 4, axis=-1)
    c = jax.nn.sigmoid(f) * carry.c + jax.nn.sigmoid(i) * drop(tanh(g))
    h = jax.nn.sigmoid(o) * tanh(c)
    return LSTMCarry(h, c), h
