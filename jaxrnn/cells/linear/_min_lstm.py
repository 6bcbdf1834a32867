"""The minimal LSTM that is parallel over time (minLSTM)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.types import Cell
from jaxrnn.activations import Activation
from jaxrnn.cells._affine import Affine
from jaxrnn.cells._gated import HiddenCarry, draw_each, lean_activations, project, zero_carry
from jaxrnn.cells.linear._linear import linear_cell, positive
from jaxrnn.initializers import Initializer, glorot_uniform


class MinLSTMParams(NamedTuple):
    kernel: jax.Array  # (I, 3H), gates i f n
    bias: jax.Array | None  # (3H,); None without a bias


@constructor
def min_lstm(
    hidden_size: int,
    activation: Activation = positive,
    *,
    kernel_init: Initializer = glorot_uniform(3),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Minimal LSTM whose gates do not read the state, so that it is parallel over time (minLSTM).

        i, f, n = W x + b
        h' = (σ(f) h + σ(i) g(n)) / (σ(f) + σ(i))

    The two gates are divided by their sum, so that the state stays in the range of g, which is
    x + 1/2 from 0 on, and σ below.

    Args:
      hidden_size: H.
      activation: element-wise, g.
      kernel_init: draws `kernel` (I, 3H).
      bias_init: draws `bias` (3H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `MinLSTMParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, `use_bias` is not a bool, or
        `activation` is not a function.

    References: as of `jaxrnn.min_gru`.

    Examples:
      >>> cell = jaxrnn.min_lstm(8, jnp.tanh)
      >>> xs = 100 * jnp.ones((20, 2, 4))  # (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> [leaf.shape for leaf in params]  # no recurrent kernel
      [(4, 24), (24,)]
      >>> _, ys = jaxrnn.unroll(cell, params, None, xs)
      >>> bool((jnp.abs(ys) <= 1.001).all())  # the range of tanh
      True
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    (activation,) = lean_activations(activation=activation)

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (x.shape[-1], 3 * hidden_size)),
            "bias": (bias_init if use_bias else None, (3 * hidden_size,)),
        }
        return MinLSTMParams(*draw_each(key, x, **parts))

    def coefficients(params, x):
        i, f, n = jnp.split(project(params, x), 3, axis=-1)
        # σ(f) / (σ(f) + σ(i)), by logarithms, so that no zero is divided by another.
        odds = jax.nn.log_sigmoid(f) - jax.nn.log_sigmoid(i)
        a, b = jax.nn.sigmoid(odds), jax.nn.sigmoid(-odds) * activation(n)
        return Affine(*(HiddenCarry(part.astype(params.kernel.dtype)) for part in (a, b)))

    return linear_cell(init, zero_carry(MinLSTMParams, HiddenCarry, hidden_size), coefficients)
