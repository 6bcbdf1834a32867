"""Convolutional long short-term memory."""

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
from jaxrnn.cells._gated import LSTMCarry, draw_gates, lstm_activations, one_for_each, zero_carry
from jaxrnn.cells.conv._convolution import (
    check_kernel_size,
    check_picture,
    for_each_axis,
    projection,
    recur,
)
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal, unit_forget_bias


class ConvLSTMParams(NamedTuple):
    kernel: jax.Array  # (*K, C, 4F), gates i f g o
    recurrent_kernel: jax.Array  # (*K, F, 4F)
    bias: jax.Array | None  # (4F,); None without a bias
    peephole: jax.Array | None = None  # (3F,), p, of gates i f o; None without peepholes


@constructor
def conv_lstm(
    features: int,
    kernel_size: tuple[int, ...],
    *,
    dilation: int | tuple[int, ...] = 1,
    use_peepholes: bool = False,
    gate_activation: Activation = jax.nn.sigmoid,
    activation: Activation = jnp.tanh,
    output_activation: Activation | None = None,
    kernel_init: Initializer = glorot_uniform(4),
    recurrent_kernel_init: Initializer = orthogonal(4),
    bias_init: Initializer = unit_forget_bias(),
    use_bias: bool = True,
    peephole_init: Initializer = jax.nn.initializers.zeros,
) -> Cell:
    """Convolutional long short-term memory cell (ConvLSTM), in 1, 2 or 3 spatial dimensions.

        i, f, g, o = W * x + U * h + b
        c' = σ(f) c + σ(i) tanh(g)
        h' = σ(o) tanh(c')

    x, h and c are pictures with channels last, (..., *S, C) and (..., *S, F), of any size. Both
    convolutions, *, are padded with zeros and keep that size. With peepholes, the gates are
    σ(i + p_i c), σ(f + p_f c) and σ(o + p_o c'). The paper has a weight p for each pixel; here each
    channel has one, so that the parameters do not depend on the size of the picture.

    Args:
      features: F, the number of channels of the state.
      kernel_size: K, a tuple of 1 to 3 integers, one for each spatial axis.
      dilation: the step between the elements of the input kernel, one for all axes or one for each.
        The recurrent kernel is not dilated, as in Keras.
      use_peepholes: whether the gates see the memory.
      gate_activation: element-wise, in place of σ.
      activation: element-wise, in place of the tanh of g.
      output_activation: element-wise, in place of the tanh of c'. None means `activation`.
      kernel_init: draws `kernel` (*K, C, 4F).
      recurrent_kernel_init: draws `recurrent_kernel` (*K, F, 4F).
      bias_init: draws `bias` (4F,).
      use_bias: whether there is a bias b; without one, `bias` is None.
      peephole_init: draws `peephole` (3F,).

    Returns:
      A `Cell` with parameters `ConvLSTMParams` and carry `LSTMCarry`; its output is h',
      (..., *S, F). A sequence is (T, ..., *S, C), and a mask or resets (T, ...).

    Raises:
      ValueError, TypeError: a size is not a positive integer, `kernel_size` is not a tuple of 1 to
        3, a choice is not a bool, or an activation is not a function.

    References: Shi, Chen, Wang, Yeung, Wong and Woo, 2015, "Convolutional LSTM network: a machine
    learning approach for precipitation nowcasting".

    Examples:
      >>> cell = jaxrnn.conv_lstm(8, (3, 3), use_peepholes=True)
      >>> picture = jnp.ones((2, 16, 16, 1))  # (B, height, width, C)
      >>> params = jax.eval_shape(cell.init, jax.random.key(0), picture)
      >>> params.kernel.shape, params.peephole.shape
      ((3, 3, 1, 32), (24,))
      >>> layer, others = jaxrnn.rnn(cell), jnp.ones((5, 2, 6, 9, 1))  # of another size
      >>> jax.eval_shape(layer.apply, params, None, others)[1].shape
      (5, 2, 6, 9, 8)
    """
    check_size("features", features)
    check_kernel_size(kernel_size)
    project = projection(for_each_axis(dilation, len(kernel_size)))
    check_bool("use_bias", use_bias)
    check_bool("use_peepholes", use_peepholes)
    activations = lstm_activations(gate_activation, activation, output_activation)
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None
    see_init = peephole_init if use_peepholes else None

    def init(key, x):
        check_picture(x, kernel_size)
        drawn = draw_gates(key, x, features, 4, inits, kernel_size=kernel_size)
        last_key, shape = jax.random.fold_in(key, 3), (3 * features,)
        return ConvLSTMParams(*drawn, draw("peephole", see_init, last_key, shape, x.dtype))

    return Cell(
        init,
        zero_carry(ConvLSTMParams, LSTMCarry, features, features),
        project,
        recur,
        _update_with(*activations),
        num_feature_axes=len(kernel_size) + 1,
    )


@one_for_each
def _update_with(
    gate_activation: Activation, activation: Activation, output_activation: Activation
) -> Callable:
    @wide_update
    def update(params, carry, u, v, drop=lambda candidate: candidate):
        i, f, g, o = jnp.split(u + v, 4, axis=-1)
        i = gate_activation(_see(carry.c, i, params.peephole, 0))
        f = gate_activation(_see(carry.c, f, params.peephole, 1))
        c = f * carry.c + i * drop(activation(g))
        o = gate_activation(_see(c, o, params.peephole, 2))
        return LSTMCarry(o * output_activation(c), c)

    return update


def _see(c, gate, peephole, index):
    """The gate with its peephole, if there are peepholes."""
    if peephole is None:
        return gate
    return gate + jnp.split(over_rows(peephole, c), 3, axis=-1)[index] * c
