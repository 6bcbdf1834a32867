"""Multiplicative long short-term memory (mLSTM of Krause et al.)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_features, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import affine, matmul, tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import LSTMCarry, draw_each, zero_carry
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal, unit_forget_bias


class MultiplicativeLSTMParams(NamedTuple):
    kernel: jax.Array  # (I, 4H), gates i f g o
    factor_kernel: jax.Array  # (I, H), of the factor that the input multiplies by
    state_kernel: jax.Array  # (H, H), of the factor that is multiplied
    recurrent_kernel: jax.Array  # (H, 4H)
    bias: jax.Array | None  # (4H,); None without a bias


@constructor
def multiplicative_lstm(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(4),
    factor_kernel_init: Initializer = glorot_uniform(),
    state_kernel_init: Initializer = orthogonal(),
    recurrent_kernel_init: Initializer = orthogonal(4),
    bias_init: Initializer = unit_forget_bias(),
    use_bias: bool = True,
) -> Cell:
    """Multiplicative long short-term memory: each input has a recurrent matrix of its own.

        m = (F x) (S h)                      element by element
        i, f, g, o = W x + U m + b
        c' = σ(f) c + σ(i) tanh(g)
        h' = σ(o) tanh(c')

    For text read by characters: what an input does to the state depends on the input. Each step
    makes two products, one after the other.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, 4H), W.
      factor_kernel_init: draws `factor_kernel` (I, H), F.
      state_kernel_init: draws `state_kernel` (H, H), S.
      recurrent_kernel_init: draws `recurrent_kernel` (H, 4H), U.
      bias_init: draws `bias` (4H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `MultiplicativeLSTMParams` and carry `LSTMCarry`; its output is h',
      (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Krause, Lu, Murray and Renals, 2016, "Multiplicative LSTM for sequence modelling".

    Examples:
      >>> model = jaxrnn.stack(jaxrnn.embed(100, 4), jaxrnn.rnn(jaxrnn.multiplicative_lstm(8)))
      >>> text = jax.ShapeDtypeStruct((50, 2), jnp.int32)  # (T, B), symbols
      >>> _, params = jax.eval_shape(model.init, jax.random.key(0), text)
      >>> params.factor_kernel.shape, params.state_kernel.shape, params.recurrent_kernel.shape
      ((4, 8), (8, 8), (8, 32))
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (x.shape[-1], 4 * hidden_size)),
            "factor_kernel": (factor_kernel_init, (x.shape[-1], hidden_size)),
            "state_kernel": (state_kernel_init, (hidden_size, hidden_size)),
            "recurrent_kernel": (recurrent_kernel_init, (hidden_size, 4 * hidden_size)),
            "bias": (bias_init if use_bias else None, (4 * hidden_size,)),
        }
        return MultiplicativeLSTMParams(*draw_each(key, x, **parts))

    init_carry = zero_carry(MultiplicativeLSTMParams, LSTMCarry, hidden_size, hidden_size)
    return Cell(init, init_carry, _project, _recur, _update)


def _project(params, x):
    check_features(x, params.kernel.shape[0], params.kernel.dtype)
    return affine(x, params.kernel, params.bias), matmul(x, params.factor_kernel)


def _recur(params, carry):
    return matmul(carry.h, params.state_kernel)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    u, factor = u
    kernel = params.recurrent_kernel
    gates = u + matmul((factor * v).astype(kernel.dtype), kernel)
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    c = jax.nn.sigmoid(f) * carry.c + jax.nn.sigmoid(i) * drop(tanh(g))
    return LSTMCarry(jax.nn.sigmoid(o) * tanh(c), c)
