"""The bistable recurrent cell (BRC)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import over_rows, tanh, wide_update
from jaxrnn._core.types import Cell, nothing
from jaxrnn.cells._gated import HiddenCarry, draw_each, project, zero_carry
from jaxrnn.initializers import Initializer, glorot_uniform, in_float32


class BRCParams(NamedTuple):
    kernel: jax.Array  # (I, 3H), gates a c n
    recurrent_scale: jax.Array  # (2H,), of gates a c
    bias: jax.Array | None  # (3H,); None without a bias


@constructor
def brc(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(3),
    recurrent_scale_init: Initializer = in_float32(jax.nn.initializers.normal(0.5)),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Bistable recurrent cell: each unit sees its own past, and can hold a bit for any time (BRC).

        a, c = W_ac x + r h + b_ac
        h' = σ(c) h + (1 - σ(c)) tanh(W_n x + b_n + (1 + tanh(a)) h)

    Where 1 + tanh(a) is more than 1, a unit has two stable states. There is no product in the loop.
    In `jaxrnn.nbrc` the gates see the whole state.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, 3H).
      recurrent_scale_init: draws `recurrent_scale` (2H,).
      bias_init: draws `bias` (3H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `BRCParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Vecoven, Ernst and Drion, 2021, "A bio-inspired bistable recurrent cell allows for
    long-lasting memory".

    Examples:
      >>> cell = jaxrnn.brc(1)
      >>> params = jaxrnn.cells.BRCParams(jnp.zeros((1, 3)), jnp.zeros(2), jnp.array([2.0, 0, 0]))
      >>> start = jaxrnn.HiddenCarry(jnp.array([[0.1], [-0.1]]))  # two sequences
      >>> carry, _ = jaxrnn.unroll(cell, params, start, jnp.zeros((100, 2, 1)))  # without input
      >>> carry.h.round().tolist()  # each keeps its sign
      [[1.0], [-1.0]]
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (x.shape[-1], 3 * hidden_size)),
            "recurrent_scale": (recurrent_scale_init, (2 * hidden_size,)),
            "bias": (bias_init if use_bias else None, (3 * hidden_size,)),
        }
        return BRCParams(*draw_each(key, x, **parts))

    init_carry = zero_carry(BRCParams, HiddenCarry, hidden_size)
    return Cell(init, init_carry, project, nothing, _update)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    u_a, u_c, u_n = jnp.split(u, 3, axis=-1)
    r_a, r_c = jnp.split(over_rows(params.recurrent_scale, u), 2, axis=-1)
    c = jax.nn.sigmoid(u_c + r_c * carry.h)
    n = tanh(u_n + (1 + tanh(u_a + r_a * carry.h)) * carry.h)
    return HiddenCarry(c * carry.h + (1 - c) * drop(n))
