"""The stackable recurrent cell (STAR)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import HiddenCarry, of_gates
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class STARParams(NamedTuple):
    kernel: jax.Array  # (I, 2H), gates z k
    recurrent_kernel: jax.Array  # (H, H)
    bias: jax.Array | None  # (2H,); None without a bias


@constructor
def star(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(2),
    recurrent_kernel_init: Initializer = orthogonal(),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Stackable recurrent cell: light, and made for deep stacks (STAR).

        z = tanh(W_z x + b_z)
        k = σ(W_k x + U h + b_k)
        h' = tanh((1 - k) h + k z)

    Its gradients neither vanish nor explode from layer to layer, so that stacks of ten and more
    layers train.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, 2H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, H).
      bias_init: draws `bias` (2H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `STARParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Turkoglu, D'Aronco, Wegner and Schindler, 2022, "Gating revisited: deep multi-layer
    RNNs that can be trained".

    Examples:
      >>> model = jaxrnn.stack(jaxrnn.dense(8), *10 * [jaxrnn.rnn(jaxrnn.star(8))])
      >>> xs = jax.ShapeDtypeStruct((50, 2, 4), jnp.float32)  # (T, B, I)
      >>> params = jax.eval_shape(model.init, jax.random.key(0), xs)
      >>> len(params), params[1].kernel.shape, params[1].recurrent_kernel.shape
      (11, (8, 16), (8, 8))
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None
    return of_gates(STARParams, HiddenCarry, hidden_size, 2, inits, _update, recurrent_gates=1)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    z, k = jnp.split(u, 2, axis=-1)
    k = jax.nn.sigmoid(k + v)
    return HiddenCarry(tanh((1 - k) * carry.h + k * drop(tanh(z))))
