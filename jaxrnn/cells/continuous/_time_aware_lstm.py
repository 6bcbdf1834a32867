"""The time-aware LSTM (T-LSTM)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import add_bias, matmul, sum_dtype, tanh, wide_update
from jaxrnn._core.timed import features, gaps
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import LSTMCarry, draw_each, project, zero_carry
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal, unit_forget_bias


class TimeAwareLSTMParams(NamedTuple):
    kernel: jax.Array  # (I, 4H), gates i f g o
    recurrent_kernel: jax.Array  # (H, 4H)
    bias: jax.Array  # (4H,)
    decay_kernel: jax.Array  # (H, H), V, of the short-term memory
    decay_bias: jax.Array  # (H,)


@constructor
def time_aware_lstm(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(4),
    recurrent_kernel_init: Initializer = orthogonal(4),
    bias_init: Initializer = unit_forget_bias(),
    decay_kernel_init: Initializer = orthogonal(),
) -> Cell:
    """LSTM whose short-term memory fades over a gap in time (T-LSTM).

        s = tanh(V c + d)                              the short-term part of the memory
        c* = (c - s) + s / log(e + Δt)
        i, f, g, o = W x + U h + b
        c' = σ(f) c* + σ(i) tanh(g)
        h' = σ(o) tanh(c')

    Δt is the time since the step before, as between the visits of a patient. At Δt = 0 this is an
    LSTM.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, 4H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 4H).
      bias_init: draws `bias` (4H,).
      decay_kernel_init: draws `decay_kernel` (H, H). `decay_bias` starts at 0.

    Returns:
      A `Cell` for inputs `jaxrnn.Timed`, with parameters `TimeAwareLSTMParams` and carry
      `LSTMCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer.

    References: Baytas et al., 2017, "Patient subtyping via time-aware LSTM networks".

    Examples:
      >>> layer = jaxrnn.rnn(jaxrnn.time_aware_lstm(8))
      >>> xs = jaxrnn.Timed(jnp.ones((5, 2, 4)), jnp.zeros((5, 2)))  # no time passes
      >>> params = layer.init(jax.random.key(0), xs)
      >>> _, ys = layer.apply(params, None, xs)
      >>> _, same = jaxrnn.unroll(jaxrnn.lstm(8), jaxrnn.cells.LSTMParams(*params[:3]), None, xs.x)
      >>> bool(jnp.allclose(ys, same, atol=1e-3))
      True
    """
    check_size("hidden_size", hidden_size)

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (features(x).shape[-1], 4 * hidden_size)),
            "recurrent_kernel": (recurrent_kernel_init, (hidden_size, 4 * hidden_size)),
            "bias": (bias_init, (4 * hidden_size,)),
            "decay_kernel": (decay_kernel_init, (hidden_size, hidden_size)),
            "decay_bias": (jax.nn.initializers.zeros, (hidden_size,)),
        }
        return TimeAwareLSTMParams(*draw_each(key, x, **parts))

    init_carry = zero_carry(TimeAwareLSTMParams, LSTMCarry, hidden_size, hidden_size)
    return Cell(init, init_carry, _project, _recur, update, reads_time=True)


def _project(params, x):
    return project(params, x.x), gaps(x, sum_dtype(params.kernel.dtype))


def _recur(params, carry):
    return matmul(carry.h, params.recurrent_kernel), matmul(carry.c, params.decay_kernel)


@wide_update
def update(params, carry, u, v, drop=lambda candidate: candidate):
    (u, dt), (v, short) = u, v
    short = tanh(add_bias(short, params.decay_bias))
    c = carry.c - short + short / jnp.log(jnp.e + dt)
    i, f, g, o = jnp.split(u + v, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * drop(tanh(g))
    return LSTMCarry(jax.nn.sigmoid(o) * tanh(c), c)
