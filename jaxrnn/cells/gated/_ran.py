"""The recurrent additive network (RAN)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import LSTMCarry, of_gates
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal, unit_forget_bias


class RANParams(NamedTuple):
    kernel: jax.Array  # (I, 3H), gates i f g
    recurrent_kernel: jax.Array  # (H, 2H)
    bias: jax.Array | None  # (3H,); None without a bias


@constructor
def ran(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(3),
    recurrent_kernel_init: Initializer = orthogonal(2),
    bias_init: Initializer = unit_forget_bias(gates="ifg"),
    use_bias: bool = True,
) -> Cell:
    """Recurrent additive network: its memory is a weighted sum of its inputs (RAN).

        i, f = W_if x + U h + b_if
        c' = σ(f) c + σ(i) (W_g x + b_g)
        h' = tanh(c')

    The weights of the sum are products of gates, so that one can see what each input adds to a
    state.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, 3H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 2H).
      bias_init: draws `bias` (3H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `RANParams` and carry `LSTMCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Lee, Levy and Zettlemoyer, 2017, "Recurrent additive networks".

    Examples:
      >>> cell = jaxrnn.ran(1)
      >>> bias = jnp.array([50.0, 50.0, 0.0])  # both gates open
      >>> params = jaxrnn.cells.RANParams(jnp.array([[0.0, 0.0, 1.0]]), jnp.zeros((1, 2)), bias)
      >>> xs = jnp.array([[1.0], [2.0], [-0.5]])  # (T, I)
      >>> carry, ys = jaxrnn.unroll(cell, params, None, xs)
      >>> carry.c.tolist(), bool(jnp.allclose(carry.h, jnp.tanh(2.5)))  # the sum of the inputs
      ([2.5], True)
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None
    return of_gates(RANParams, LSTMCarry, hidden_size, 3, inits, _update, recurrent_gates=2)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    u_i, u_f, g = jnp.split(u, 3, axis=-1)
    v_i, v_f = jnp.split(v, 2, axis=-1)
    c = jax.nn.sigmoid(u_f + v_f) * carry.c + jax.nn.sigmoid(u_i + v_i) * drop(g)
    return LSTMCarry(tanh(c), c)
