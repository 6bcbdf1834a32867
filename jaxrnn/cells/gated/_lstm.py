"""Long short-term memory."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.activations import Activation
from jaxrnn.cells._gated import (
    LSTMCarry,
    draw_gates,
    lstm_activations,
    one_for_each,
    project,
    recur,
    zero_carry,
)
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal, unit_forget_bias


class LSTMParams(NamedTuple):
    kernel: jax.Array  # (I, 4H), gates i f g o
    recurrent_kernel: jax.Array  # (H, 4H)
    bias: jax.Array | None  # (4H,); None without a bias


@constructor
def lstm(
    hidden_size: int,
    *,
    gate_activation: Activation = jax.nn.sigmoid,
    activation: Activation = jnp.tanh,
    output_activation: Activation | None = None,
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
      gate_activation: element-wise, in place of σ.
      activation: element-wise, in place of the tanh of g.
      output_activation: element-wise, in place of the tanh of c'. None means `activation`.
      kernel_init: draws `kernel` (I, 4H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 4H).
      bias_init: draws `bias` (4H,); ``jaxrnn.initializers.chrono(max_time)`` for long dependencies.
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `LSTMParams` and carry `LSTMCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, `use_bias` is not a bool, or
        an activation is not a function.

    References: Hochreiter and Schmidhuber, 1997, "Long short-term memory"; Gers, Schmidhuber and
    Cummins, 2000, "Learning to forget: continual prediction with LSTM".

    Examples:
      >>> cell = jaxrnn.lstm(8)
      >>> xs = jnp.ones((50, 2, 4))  # (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> params.bias[8:16].tolist()  # of gate f
      [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
      >>> carry, ys = jaxrnn.unroll(cell, params, None, xs)
      >>> ys.shape, carry.h.shape, carry.c.shape
      ((50, 2, 8), (2, 8), (2, 8))
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    activations = lstm_activations(gate_activation, activation, output_activation)
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None

    def init(key, x):
        return LSTMParams(*draw_gates(key, x, hidden_size, 4, inits))

    init_carry = zero_carry(LSTMParams, LSTMCarry, hidden_size, hidden_size)
    return Cell(init, init_carry, project, recur, update_with(*activations))


@one_for_each
def update_with(
    gate_activation: Activation, activation: Activation, output_activation: Activation
) -> Callable:
    """The state equation: one function per choice of activations, by which kernels recognize it."""

    @wide_update
    def update(params, carry, u, v, drop=lambda candidate: candidate):
        i, f, g, o = jnp.split(u + v, 4, axis=-1)
        c = gate_activation(f) * carry.c + gate_activation(i) * drop(activation(g))
        return LSTMCarry(gate_activation(o) * output_activation(c), c)

    return update


update = update_with(jax.nn.sigmoid, tanh, tanh)
