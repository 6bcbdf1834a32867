"""The addition-subtraction twin-gated recurrent cell (ATR)."""

from typing import NamedTuple

import jax

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import HiddenCarry, of_gates
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class ATRParams(NamedTuple):
    kernel: jax.Array  # (I, H)
    recurrent_kernel: jax.Array  # (H, H)
    bias: jax.Array | None  # (H,); None without a bias


@constructor
def atr(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(),
    recurrent_kernel_init: Initializer = orthogonal(),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Addition-subtraction twin-gated recurrent cell: both gates from one product (ATR).

        p = W x + b
        q = U h
        h' = σ(p + q) p + σ(p - q) h

    As few weights as `jaxrnn.elman`, and gates for free.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, H).
      bias_init: draws `bias` (H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `ATRParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Zhang, Xiong, Su, Lin and Zhang, 2018, "Simplifying neural machine translation with
    addition-subtraction twin-gated recurrent networks".

    Examples:
      >>> def count(cell, num_inputs=4):
      ...     params = jax.eval_shape(cell.init, jax.random.key(0), jnp.ones(num_inputs))
      ...     return sum(leaf.size for leaf in jax.tree.leaves(params))
      >>> count(jaxrnn.atr(8)), count(jaxrnn.elman(8)), count(jaxrnn.gru(8))
      (104, 104, 320)
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None
    return of_gates(ATRParams, HiddenCarry, hidden_size, 1, inits, _update)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    return HiddenCarry(jax.nn.sigmoid(u + v) * drop(u) + jax.nn.sigmoid(u - v) * carry.h)
