"""Long short-term memory whose forget gate is one minus its input gate (CIFG)."""

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


class CoupledLSTMParams(NamedTuple):
    kernel: jax.Array  # (I, 3H), gates i g o
    recurrent_kernel: jax.Array  # (H, 3H)
    bias: jax.Array | None  # (3H,); None without a bias
    peephole: jax.Array | None = None  # (2H,), p, of gates i o; None without peepholes


@constructor
def coupled_lstm(
    hidden_size: int,
    *,
    use_peepholes: bool = False,
    gate_activation: Activation = jax.nn.sigmoid,
    activation: Activation = jnp.tanh,
    output_activation: Activation | None = None,
    kernel_init: Initializer = glorot_uniform(3),
    recurrent_kernel_init: Initializer = orthogonal(3),
    bias_init: Initializer = unit_forget_bias(gates="fgo", forget=-1.0),
    use_bias: bool = True,
    peephole_init: Initializer = jax.nn.initializers.zeros,
) -> Cell:
    """Long short-term memory cell with coupled input and forget gates (CIFG).

        i, g, o = W x + U h + b
        c' = (1 - σ(i)) c + σ(i) tanh(g)
        h' = σ(o) tanh(c')

    With peepholes, the gates are σ(i + p_i c) and σ(o + p_o c'). The kernels have three quarters of
    the weights of `jaxrnn.lstm`.

    Args:
      hidden_size: H.
      use_peepholes: whether the gates see the memory, as in `jaxrnn.peephole_lstm`.
      gate_activation: element-wise, in place of σ.
      activation: element-wise, in place of the tanh of g.
      output_activation: element-wise, in place of the tanh of c'. None means `activation`.
      kernel_init: draws `kernel` (I, 3H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 3H).
      bias_init: draws `bias` (3H,). The default sets the bias of i to -1, so that the cell starts
        by remembering, like an LSTM with a forget bias of 1.
      use_bias: whether there is a bias b; without one, `bias` is None.
      peephole_init: draws `peephole` (2H,).

    Returns:
      A `Cell` with parameters `CoupledLSTMParams` and carry `LSTMCarry`; its output is h',
      (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, a choice is not a bool, or an
        activation is not a function.

    References: Greff, Srivastava, Koutník, Steunebrink and Schmidhuber, 2017, "LSTM: a search space
    odyssey".

    Examples:
      >>> cell = jaxrnn.coupled_lstm(8, use_peepholes=True)
      >>> params = cell.init(jax.random.key(0), jnp.ones((2, 4)))  # (B, I)
      >>> params.kernel.shape, params.peephole.shape  # gates i g o, and peepholes of i and o
      ((4, 24), (16,))
      >>> params.bias.tolist() == 8 * [-1.0] + 16 * [0.0]
      True
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    check_bool("use_peepholes", use_peepholes)
    activations = lstm_activations(gate_activation, activation, output_activation)
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None
    see_init = peephole_init if use_peepholes else None

    def init(key, x):
        drawn = draw_gates(key, x, hidden_size, 3, inits)
        last_key, shape = jax.random.fold_in(key, 3), (2 * hidden_size,)
        return CoupledLSTMParams(*drawn, draw("peephole", see_init, last_key, shape, x.dtype))

    init_carry = zero_carry(CoupledLSTMParams, LSTMCarry, hidden_size, hidden_size)
    return Cell(init, init_carry, project, recur, _update_with(*activations))


@one_for_each
def _update_with(
    gate_activation: Activation, activation: Activation, output_activation: Activation
) -> Callable:
    @wide_update
    def update(params, carry, u, v, drop=lambda candidate: candidate):
        i, g, o = jnp.split(u + v, 3, axis=-1)
        i = gate_activation(_see(carry.c, i, params.peephole, 0))
        c = (1 - i) * carry.c + i * drop(activation(g))
        o = gate_activation(_see(c, o, params.peephole, 1))
        return LSTMCarry(o * output_activation(c), c)

    return update


def _see(c, gate, peephole, index):
    """The gate with its peephole, if there are peepholes."""
    if peephole is None:
        return gate
    return gate + jnp.split(over_rows(peephole, c), 2, axis=-1)[index] * c
