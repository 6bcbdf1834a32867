"""Long short-term memory whose gates see the memory."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.drawing import draw
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import over_rows, wide_update
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


class PeepholeLSTMParams(NamedTuple):
    kernel: jax.Array  # (I, 4H), gates i f g o
    recurrent_kernel: jax.Array  # (H, 4H)
    bias: jax.Array | None  # (4H,); None without a bias
    peephole: jax.Array  # (3H,), p, of gates i f o


@constructor
def peephole_lstm(
    hidden_size: int,
    *,
    gate_activation: Activation = jax.nn.sigmoid,
    activation: Activation = jnp.tanh,
    output_activation: Activation | None = None,
    kernel_init: Initializer = glorot_uniform(4),
    recurrent_kernel_init: Initializer = orthogonal(4),
    bias_init: Initializer = unit_forget_bias(),
    use_bias: bool = True,
    peephole_init: Initializer = jax.nn.initializers.zeros,
) -> Cell:
    """Long short-term memory cell with peepholes.

        i, f, g, o = W x + U h + b
        c' = σ(f + p_f c) c + σ(i + p_i c) tanh(g)
        h' = σ(o + p_o c') tanh(c')

    Args:
      hidden_size: H.
      gate_activation: element-wise, in place of σ.
      activation: element-wise, in place of the tanh of g.
      output_activation: element-wise, in place of the tanh of c'. None means `activation`.
      kernel_init: draws `kernel` (I, 4H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 4H).
      bias_init: draws `bias` (4H,).
      use_bias: whether there is a bias b; without one, `bias` is None.
      peephole_init: draws `peephole` (3H,).

    Returns:
      A `Cell` with parameters `PeepholeLSTMParams` and carry `LSTMCarry`; its output is h',
      (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, `use_bias` is not a bool, or
        an activation is not a function.

    References: Gers and Schmidhuber, 2000, "Recurrent nets that time and count".

    Examples:
      >>> cell = jaxrnn.peephole_lstm(8)
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> params.peephole.shape, params.peephole.sum().tolist()
      ((24,), 0.0)
      >>> _, ys = jaxrnn.unroll(cell, params, None, xs)
      >>> _, same = jaxrnn.unroll(jaxrnn.lstm(8), jaxrnn.cells.LSTMParams(*params[:3]), None, xs)
      >>> bool(jnp.allclose(ys, same, atol=1e-3))  # it starts as an LSTM
      True
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    activations = lstm_activations(gate_activation, activation, output_activation)
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None

    def init(key, x):
        drawn = draw_gates(key, x, hidden_size, 4, inits)
        last_key, shape = jax.random.fold_in(key, 3), (3 * hidden_size,)
        return PeepholeLSTMParams(*drawn, draw("peephole", peephole_init, last_key, shape, x.dtype))

    init_carry = zero_carry(PeepholeLSTMParams, LSTMCarry, hidden_size, hidden_size)
    return Cell(init, init_carry, project, recur, _update_with(*activations))


@one_for_each
def _update_with(
    gate_activation: Activation, activation: Activation, output_activation: Activation
) -> Callable:
    @wide_update
    def update(params, carry, u, v, drop=lambda candidate: candidate):
        i, f, g, o = jnp.split(u + v, 4, axis=-1)
        p_i, p_f, p_o = jnp.split(over_rows(params.peephole, v), 3, axis=-1)
        i, f = gate_activation(i + p_i * carry.c), gate_activation(f + p_f * carry.c)
        c = f * carry.c + i * drop(activation(g))
        return LSTMCarry(gate_activation(o + p_o * c) * output_activation(c), c)

    return update
