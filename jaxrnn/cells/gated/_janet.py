"""Long short-term memory that has only a forget gate (JANET)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import HiddenCarry, of_gates
from jaxrnn.initializers import Initializer, chrono, glorot_uniform, orthogonal


class JANETParams(NamedTuple):
    kernel: jax.Array  # (I, 2H), gates f g
    recurrent_kernel: jax.Array  # (H, 2H)
    bias: jax.Array | None  # (2H,); None without a bias


@constructor
def janet(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(2),
    recurrent_kernel_init: Initializer = orthogonal(2),
    bias_init: Initializer = chrono(100, gates="fg"),
    use_bias: bool = True,
) -> Cell:
    """Long short-term memory that has only a forget gate (JANET).

        f, g = W x + U h + b
        h' = σ(f) h + (1 - σ(f - 1)) tanh(g)

    Half the weights of `jaxrnn.lstm`. The default biases remember for up to 100 steps;
    `jaxrnn.initializers.chrono` with ``gates="fg"`` and the length of your sequences is better
    where you know it.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, 2H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 2H).
      bias_init: draws `bias` (2H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `JANETParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: van der Westhuizen and Lasenby, 2018, "The unreasonable effectiveness of the forget
    gate"; the biases: Tallec and Ollivier, 2018, "Can recurrent neural networks warp time?".

    Examples:
      >>> cell = jaxrnn.janet(8, bias_init=jaxrnn.initializers.chrono(50, gates="fg"))
      >>> params = cell.init(jax.random.key(0), jnp.ones((2, 4)))  # (B, I)
      >>> params.kernel.shape, params.recurrent_kernel.shape
      ((4, 16), (8, 16))
      >>> bool((params.bias[:8] >= 0).all()), bool((params.bias[:8] <= np.log(50)).all())  # f
      (True, True)
      >>> params.bias[8:].sum().tolist()  # g
      0.0
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None
    return of_gates(JANETParams, HiddenCarry, hidden_size, 2, inits, _update)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    f, g = jnp.split(u + v, 2, axis=-1)
    h = jax.nn.sigmoid(f) * carry.h + (1 - jax.nn.sigmoid(f - 1)) * drop(tanh(g))
    return HiddenCarry(h)
