"""Long short-term memory with layer normalization."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_features, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import add_bias, matmul, over_rows, tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import LSTMCarry, draw_gates, recur, zero_carry
from jaxrnn.cells._normalization import normalize
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal, unit_forget_bias


class LayerNormLSTMParams(NamedTuple):
    kernel: jax.Array  # (I, 4H), gates i f g o
    recurrent_kernel: jax.Array  # (H, 4H)
    bias: jax.Array | None  # (4H,); None without a bias
    gain: jax.Array  # (4H,), α
    recurrent_gain: jax.Array  # (4H,), β
    cell_gain: jax.Array  # (H,), γ
    cell_bias: jax.Array  # (H,), δ


@constructor
def layer_norm_lstm(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(4),
    recurrent_kernel_init: Initializer = orthogonal(4),
    bias_init: Initializer = unit_forget_bias(),
    use_bias: bool = True,
) -> Cell:
    """Long short-term memory cell with layer normalization.

        i, f, g, o = α N(W x) + β N(U h) + b
        c' = σ(f) c + σ(i) tanh(g)
        h' = σ(o) tanh(γ N(c') + δ)

    N shifts and scales a vector to mean 0 and variance 1. As in the paper, N(W x) and N(U h)
    normalize all 4H values together, and N(c') normalizes H values.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, 4H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 4H).
      bias_init: draws `bias` (4H,). Gains start from ones, `cell_bias` from zeros.
      use_bias: whether there is a bias b; without one, `bias` is None. The normalization of c keeps
        its δ.

    Returns:
      A `Cell` with parameters `LayerNormLSTMParams` and carry `LSTMCarry`; its output is
      h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Ba, Kiros and Hinton, 2016, "Layer normalization".

    Examples:
      >>> cell = jaxrnn.layer_norm_lstm(8, use_bias=False)
      >>> params = jax.eval_shape(cell.init, jax.random.key(0), jnp.ones((2, 4)))  # (B, I)
      >>> params.gain.shape, params.cell_gain.shape, params.cell_bias.shape, params.bias
      ((32,), (8,), (8,), None)
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)

    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None

    def init(key, x):
        gates, units = (4 * hidden_size,), (hidden_size,)
        return LayerNormLSTMParams(
            *draw_gates(key, x, hidden_size, 4, inits),
            gain=jnp.ones(gates, x.dtype),
            recurrent_gain=jnp.ones(gates, x.dtype),
            cell_gain=jnp.ones(units, x.dtype),
            cell_bias=jnp.zeros(units, x.dtype),
        )

    init_carry = zero_carry(LayerNormLSTMParams, LSTMCarry, hidden_size, hidden_size)
    return Cell(init, init_carry, _project, recur, _update)


def _project(params, x):
    check_features(x, params.kernel.shape[0], params.kernel.dtype)
    u = normalize(matmul(x, params.kernel))
    return add_bias(over_rows(params.gain, u) * u, params.bias)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    v = over_rows(params.recurrent_gain, v) * normalize(v)
    i, f, g, o = jnp.split(u + v, 4, axis=-1)
    c = jax.nn.sigmoid(f) * carry.c + jax.nn.sigmoid(i) * drop(tanh(g))
    normalized = over_rows(params.cell_gain, c) * normalize(c)
    h = jax.nn.sigmoid(o) * tanh(add_bias(normalized, params.cell_bias))
    return LSTMCarry(h, c)
