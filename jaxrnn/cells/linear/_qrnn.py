"""The quasi-recurrent neural network (QRNN)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.types import Cell
from jaxrnn.activations import Activation
from jaxrnn.cells._affine import Affine
from jaxrnn.cells._gated import draw_each, lean_activations, project, zero_carry
from jaxrnn.cells.linear._linear import MemoryCarry, linear_cell
from jaxrnn.initializers import Initializer, glorot_uniform


class QRNNParams(NamedTuple):
    kernel: jax.Array  # (I, 3H), gates z f o
    bias: jax.Array | None  # (3H,); None without a bias


@constructor
def qrnn(
    hidden_size: int,
    activation: Activation = jnp.tanh,
    *,
    kernel_init: Initializer = glorot_uniform(3),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Quasi-recurrent neural network: pooling with a forget and an output gate (QRNN, fo-pooling).

        z, f, o = W x + b
        c' = σ(f) c + (1 - σ(f)) g(z)
        y = σ(o) c'

    Its gates read one input. For gates that read a window of inputs, as in the paper, put a
    convolution before it: ``stack(causal_conv(64, 2), rnn(qrnn(64)))``.

    Args:
      hidden_size: H.
      activation: element-wise, g.
      kernel_init: draws `kernel` (I, 3H).
      bias_init: draws `bias` (3H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `QRNNParams` and carry `MemoryCarry`; its output is y, (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, `use_bias` is not a bool, or
        `activation` is not a function.

    References: Bradbury, Merity, Xiong and Socher, 2017, "Quasi-recurrent neural networks".

    Examples:
      >>> layer = jaxrnn.stack(jaxrnn.causal_conv(4, 2), jaxrnn.rnn(jaxrnn.qrnn(8)))
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = jax.eval_shape(layer.init, jax.random.key(0), xs)
      >>> (before, memory), ys = jax.eval_shape(layer.apply, params, None, xs)
      >>> before.inputs.shape, memory.c.shape, ys.shape  # the input before, and the memory
      ((2, 1, 4), (2, 8), (5, 2, 8))
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    (activation,) = lean_activations(activation=activation)

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (x.shape[-1], 3 * hidden_size)),
            "bias": (bias_init if use_bias else None, (3 * hidden_size,)),
        }
        return QRNNParams(*draw_each(key, x, **parts))

    def coefficients(params, x):
        z, f, o = jnp.split(project(params, x), 3, axis=-1)
        a, b = jax.nn.sigmoid(f), jax.nn.sigmoid(-f) * activation(z)
        a, b = (MemoryCarry(part.astype(x.dtype)) for part in (a, b))
        return Affine(a, b, jax.nn.sigmoid(o))

    init_carry = zero_carry(QRNNParams, MemoryCarry, hidden_size)
    return linear_cell(init, init_carry, coefficients, output=_output)


def _output(params, carry, u):
    return (u.extra * carry.c.astype(u.extra.dtype)).astype(carry.c.dtype)
