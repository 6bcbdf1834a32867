"""The light gated recurrent unit (Li-GRU)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import HiddenCarry, of_gates
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class LiGRUParams(NamedTuple):
    kernel: jax.Array  # (I, 2H), gates z n
    recurrent_kernel: jax.Array  # (H, 2H)
    bias: jax.Array | None  # (2H,); None without a bias


@constructor
def li_gru(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(2),
    recurrent_kernel_init: Initializer = orthogonal(2),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Light gated recurrent unit: a GRU without a reset gate, with relu (Li-GRU).

        z, n = W x + U h + b
        h' = σ(z) h + (1 - σ(z)) relu(n)

    For speech. The paper normalizes W x over a batch, which bounds what relu lets grow: put a
    normalization in front, and clip gradients.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, 2H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 2H).
      bias_init: draws `bias` (2H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `LiGRUParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Ravanelli, Brakel, Omologo and Bengio, 2018, "Light gated recurrent units for speech
    recognition".

    Examples:
      >>> model = jaxrnn.stack(jaxrnn.layer_norm(), jaxrnn.rnn(jaxrnn.li_gru(8)))
      >>> xs = jnp.arange(40.0).reshape(5, 2, 4)  # (T, B, I)
      >>> params = model.init(jax.random.key(0), xs)
      >>> carry, ys = model.apply(params, None, xs)
      >>> bool((ys >= 0).all())  # a mean of values of relu
      True
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None
    return of_gates(LiGRUParams, HiddenCarry, hidden_size, 2, inits, _update)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    z, n = jnp.split(u + v, 2, axis=-1)
    z = jax.nn.sigmoid(z)
    return HiddenCarry(z * carry.h + (1 - z) * drop(jax.nn.relu(n)))
