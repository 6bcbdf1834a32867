"""The recurrent network with a weighted residual connection (FastRNN)."""

from typing import NamedTuple

import jax

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import over_rows, tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import HiddenCarry, draw_each, project, recur, zero_carry
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class FastRNNParams(NamedTuple):
    kernel: jax.Array  # (I, H)
    recurrent_kernel: jax.Array  # (H, H)
    bias: jax.Array | None  # (H,); None without a bias
    alpha: jax.Array  # (1,), of the new state
    beta: jax.Array  # (1,), of the old state


@constructor
def fast_rnn(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(),
    recurrent_kernel_init: Initializer = orthogonal(),
    bias_init: Initializer = jax.nn.initializers.zeros,
    alpha_init: Initializer = jax.nn.initializers.constant(-3.0),
    beta_init: Initializer = jax.nn.initializers.constant(3.0),
    use_bias: bool = True,
) -> Cell:
    """Recurrent network with a weighted residual connection (FastRNN).

        h' = σ(α) tanh(W x + U h + b) + σ(β) h

    Two scalars more than `jaxrnn.elman`, and they keep its gradient from vanishing. For small
    devices.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, H).
      bias_init: draws `bias` (H,).
      alpha_init: draws `alpha` (1,).
      beta_init: draws `beta` (1,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `FastRNNParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Kusupati et al., 2018, "FastGRNN: a fast, accurate, stable and tiny kilobyte sized
    gated recurrent neural network".

    Examples:
      >>> cell = jaxrnn.fast_rnn(8)
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> frozen = params._replace(alpha=jnp.array([-50.0]), beta=jnp.array([50.0]))
      >>> start = jaxrnn.HiddenCarry(jnp.full((2, 8), 0.3))
      >>> carry, _ = jaxrnn.unroll(cell, frozen, start, xs)
      >>> bool(jnp.allclose(carry.h, 0.3))  # none of the new state, all of the old
      True
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (x.shape[-1], hidden_size)),
            "recurrent_kernel": (recurrent_kernel_init, (hidden_size, hidden_size)),
            "bias": (bias_init if use_bias else None, (hidden_size,)),
            "alpha": (alpha_init, (1,)),
            "beta": (beta_init, (1,)),
        }
        return FastRNNParams(*draw_each(key, x, **parts))

    init_carry = zero_carry(FastRNNParams, HiddenCarry, hidden_size)
    return Cell(init, init_carry, project, recur, _update)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    alpha, beta = (jax.nn.sigmoid(over_rows(x, u)) for x in (params.alpha, params.beta))
    return HiddenCarry(alpha * drop(tanh(u + v)) + beta * carry.h)
