"""The recurrently neuromodulated bistable cell (nBRC)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import HiddenCarry, of_gates
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class NBRCParams(NamedTuple):
    kernel: jax.Array  # (I, 3H), gates a c n
    recurrent_kernel: jax.Array  # (H, 2H)
    bias: jax.Array | None  # (3H,); None without a bias


@constructor
def nbrc(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(3),
    recurrent_kernel_init: Initializer = orthogonal(2),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Recurrently neuromodulated bistable cell: remembers by having two stable states (nBRC).

        a, c = W_ac x + U h + b_ac
        h' = σ(c) h + (1 - σ(c)) tanh(W_n x + b_n + (1 + tanh(a)) h)

    Where 1 + tanh(a) is more than 1, a unit has two stable states, and holds a bit for any time.
    `jaxrnn.brc` has no recurrent kernel.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, 3H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 2H).
      bias_init: draws `bias` (3H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `NBRCParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Vecoven, Ernst and Drion, 2021, "A bio-inspired bistable recurrent cell allows for
    long-lasting memory".

    Examples:
      >>> cell = jaxrnn.nbrc(8)
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> params.kernel.shape, params.recurrent_kernel.shape  # gates a c n, and a c
      ((4, 24), (8, 16))
      >>> holds = params._replace(bias=jnp.where(jnp.arange(24) // 8 == 1, 50.0, 0.0))  # σ(c) = 1
      >>> carry, _ = jaxrnn.unroll(cell, holds, jaxrnn.HiddenCarry(0.5 * jnp.ones((2, 8))), xs)
      >>> bool(jnp.allclose(carry.h, 0.5))
      True
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None
    return of_gates(NBRCParams, HiddenCarry, hidden_size, 3, inits, _update, recurrent_gates=2)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    (u_a, u_c, u_n), (v_a, v_c) = jnp.split(u, 3, axis=-1), jnp.split(v, 2, axis=-1)
    c = jax.nn.sigmoid(u_c + v_c)
    n = tanh(u_n + (1 + tanh(u_a + v_a)) * carry.h)
    return HiddenCarry(c * carry.h + (1 - c) * drop(n))
