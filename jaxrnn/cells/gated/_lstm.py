"""Long short-term memory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import LSTMCarry, draw_gates, project, recur, zero_carry
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal, unit_forget_bias


class LSTMParams(NamedTuple):
    kernel: jax.Array  # (I, 4H), gates i f g o
    recurrent_kernel: jax.Array  # (H, 4H)
    bias: jax.Array | None  # (4H,); None without a bias


@constructor
def lstm(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(4),
    recurrent_kernel_init: Initializer = orthogonal(4),
    bias_init: Initializer = unit_forget_bias(),
    use_bias: bool = True,
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
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `LSTMParams` and carry `LSTMCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Hochreiter and Schmidhuber, 1997, "Long short-term memory"; Gers, Schmidhuber and
    Cummins, 2000, "Learning to forget: continual prediction with LSTM".
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)

    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None

    def init(key, x):
        return LSTMParams(*draw_gates(key, x, hidden_size, 4, inits))

    init_carry = zero_carry(LSTMParams, LSTMCarry, hidden_size, hidden_size)
    return Cell(init, init_carry, project, recur, update)


@wide_update
def update(params, carry, u, v, drop=lambda candidate: candidate):
    """The state equation, with `drop` applied to the candidate tanh(g)."""
    i, f, g, o = jnp.split(u + v, 4, axis=-1)
    c = jax.nn.sigmoid(f) * carry.c + jax.nn.sigmoid(i) * drop(tanh(g))
    return LSTMCarry(jax.nn.sigmoid(o) * tanh(c), c)
