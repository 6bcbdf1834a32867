"""Long short-term memory with exponential gates (sLSTM of xLSTM)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import of_gates
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal, unit_forget_bias


class SLSTMParams(NamedTuple):
    kernel: jax.Array  # (I, 4H), gates i f g o
    recurrent_kernel: jax.Array  # (H, 4H)
    bias: jax.Array | None  # (4H,); None without a bias


class SLSTMCarry(NamedTuple):
    h: jax.Array  # (..., H)
    c: jax.Array  # (..., H), the memory
    n: jax.Array  # (..., H), the sum of the weights of what is in the memory
    m: jax.Array  # (..., H), the log of the scale of c and n


@constructor
def slstm(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(4),
    recurrent_kernel_init: Initializer = orthogonal(4),
    bias_init: Initializer = unit_forget_bias(),
    use_bias: bool = True,
) -> Cell:
    """Long short-term memory with an exponential input gate (sLSTM, of xLSTM).

        i, f, g, o = W x + U h + b
        c' = σ(f) c + exp(i) tanh(g)
        n' = σ(f) n + exp(i)
        h' = σ(o) c' / n'

    The memory is a weighted mean of candidates, and a large i replaces all of it at once. c and n
    are kept divided by exp(m), with the m that keeps both in range: it changes no output. With
    ``jaxrnn.heads`` the recurrent kernel is block-diagonal, as in the paper.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, 4H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 4H).
      bias_init: draws `bias` (4H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `SLSTMParams` and carry `SLSTMCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Beck et al., 2024, "xLSTM: extended long short-term memory".

    Examples:
      >>> cell = jaxrnn.heads(jaxrnn.slstm(4), 2)
      >>> xs = jnp.ones((5, 3, 4))  # (T, B, I)
      >>> params = jax.eval_shape(cell.init, jax.random.key(0), xs[0])
      >>> params.recurrent_kernel.shape  # a block for each head
      (2, 4, 16)
      >>> carry, ys = jax.eval_shape(jaxrnn.rnn(cell).apply, params, None, xs)
      >>> carry._fields, carry.c.shape, ys.shape
      (('h', 'c', 'n', 'm'), (3, 2, 4), (5, 3, 8))
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None
    return of_gates(SLSTMParams, SLSTMCarry, hidden_size, 4, inits, _update)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    i, f, g, o = jnp.split(u + v, 4, axis=-1)
    kept = jax.nn.log_sigmoid(f) + carry.m
    m = jnp.where(carry.n == 0, i, jnp.maximum(kept, i))  # an empty memory has no scale
    keep, add = jnp.exp(kept - m), jnp.exp(i - m)
    keep = jnp.where(carry.n == 0, 0, keep)
    c = keep * carry.c + add * drop(tanh(g))
    n = keep * carry.n + add
    return SLSTMCarry(jax.nn.sigmoid(o) * c / n, c, n, m)
