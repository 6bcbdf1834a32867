"""Long short-term memory with working memory connections (WMC-LSTM)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import matmul, tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import LSTMCarry, draw_each, project, zero_carry
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal, unit_forget_bias


class WMCLSTMParams(NamedTuple):
    kernel: jax.Array  # (I, 4H), gates i f g o
    recurrent_kernel: jax.Array  # (H, 4H)
    memory_kernel: jax.Array  # (H, 3H), of gates i f o
    bias: jax.Array | None  # (4H,); None without a bias


class _Split(NamedTuple):
    """`WMCLSTMParams`, with the memory kernel split by columns."""

    kernel: jax.Array  # (I, 4H)
    recurrent_kernel: jax.Array  # (H, 4H)
    memory_kernel_if: jax.Array  # (H, 2H)
    memory_kernel_o: jax.Array  # (H, H)
    bias: jax.Array | None  # (4H,)


@constructor
def wmc_lstm(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(4),
    recurrent_kernel_init: Initializer = orthogonal(4),
    memory_kernel_init: Initializer = orthogonal(3),
    bias_init: Initializer = unit_forget_bias(),
    use_bias: bool = True,
) -> Cell:
    """Long short-term memory whose gates see the memory through tanh (WMC-LSTM).

        i, f, g, o = W x + U h + b
        i = σ(i + tanh(V_i c))
        f = σ(f + tanh(V_f c))
        c' = f c + i tanh(g)
        h' = σ(o + tanh(V_o c')) tanh(c')

    Peepholes grow with the memory and saturate the gates; these connections do not. They are two
    products more in the loop.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, 4H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 4H).
      memory_kernel_init: draws `memory_kernel` (H, 3H), V.
      bias_init: draws `bias` (4H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `WMCLSTMParams` and carry `LSTMCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Landi, Baraldi, Cornia and Cucchiara, 2021, "Working memory connections for LSTM".

    Examples:
      >>> cell = jaxrnn.wmc_lstm(8)
      >>> params = cell.init(jax.random.key(0), jnp.ones((2, 4)))  # (B, I)
      >>> params.recurrent_kernel.shape, params.memory_kernel.shape  # gates i f g o, and i f o
      ((8, 32), (8, 24))
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (x.shape[-1], 4 * hidden_size)),
            "recurrent_kernel": (recurrent_kernel_init, (hidden_size, 4 * hidden_size)),
            "memory_kernel": (memory_kernel_init, (hidden_size, 3 * hidden_size)),
            "bias": (bias_init if use_bias else None, (4 * hidden_size,)),
        }
        return WMCLSTMParams(*draw_each(key, x, **parts))

    init_carry = zero_carry(WMCLSTMParams, LSTMCarry, hidden_size, hidden_size)
    return Cell(init, init_carry, project, _recur, _update, prepare=_split)


def _split(params, context):
    columns = jnp.split(params.memory_kernel, [2 * params.memory_kernel.shape[0]], axis=-1)
    return _Split(params.kernel, params.recurrent_kernel, *columns, params.bias)


def _recur(params, carry):
    return matmul(carry.h, params.recurrent_kernel), matmul(carry.c, params.memory_kernel_if)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    v, seen = v
    i, f, g, o = jnp.split(u + v, 4, axis=-1)
    see_i, see_f = jnp.split(tanh(seen), 2, axis=-1)
    c = jax.nn.sigmoid(f + see_f) * carry.c + jax.nn.sigmoid(i + see_i) * drop(tanh(g))
    kernel = params.memory_kernel_o
    h = jax.nn.sigmoid(o + tanh(matmul(c.astype(kernel.dtype), kernel))) * tanh(c)
    return LSTMCarry(h, c)
