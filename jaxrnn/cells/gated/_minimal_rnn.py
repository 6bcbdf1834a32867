"""The minimal recurrent network (MinimalRNN)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_features, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import affine, tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import HiddenCarry, draw_each, recur, zero_carry
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class MinimalRNNParams(NamedTuple):
    kernel: jax.Array  # (I, H), W
    gate_kernel: jax.Array  # (H, H), V, of the latent input z
    recurrent_kernel: jax.Array  # (H, H), U
    bias: jax.Array | None  # (2H,), of z and of the gate; None without biases


@constructor
def minimal_rnn(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(),
    gate_kernel_init: Initializer = orthogonal(),
    recurrent_kernel_init: Initializer = orthogonal(),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Minimal recurrent network: a gate between the state and the input, mapped to its space.

        z = tanh(W x + b_z)
        f = σ(U h + V z + b_f)
        h' = f h + (1 - f) z

    Both products of the input leave the loop. The state moves only where inputs are, so one can
    follow what it holds.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, H).
      gate_kernel_init: draws `gate_kernel` (H, H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, H).
      bias_init: draws `bias` (2H,).
      use_bias: whether there are biases; without them, `bias` is None.

    Returns:
      A `Cell` with parameters `MinimalRNNParams` and carry `HiddenCarry`; its output is h',
      (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Chen, 2017, "MinimalRNN: toward more interpretable and trainable recurrent neural
    networks".

    Examples:
      >>> cell = jaxrnn.minimal_rnn(8)
      >>> params = cell.init(jax.random.key(0), jnp.ones((2, 4)))  # (B, I)
      >>> start = jaxrnn.HiddenCarry(jnp.ones((2, 8)))
      >>> carry, ys = jaxrnn.unroll(cell, params, start, jnp.zeros((50, 2, 4)))
      >>> bool((ys[1:] <= ys[:-1]).all())  # without inputs it goes to 0
      True
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)

    def init(key, x):
        square = hidden_size, hidden_size
        parts = {
            "kernel": (kernel_init, (x.shape[-1], hidden_size)),
            "gate_kernel": (gate_kernel_init, square),
            "recurrent_kernel": (recurrent_kernel_init, square),
            "bias": (bias_init if use_bias else None, (2 * hidden_size,)),
        }
        return MinimalRNNParams(*draw_each(key, x, **parts))

    init_carry = zero_carry(MinimalRNNParams, HiddenCarry, hidden_size)
    return Cell(init, init_carry, _project, recur, _update)


def _project(params, x):
    """The latent input, and what it adds to the gate."""
    check_features(x, params.kernel.shape[0], params.kernel.dtype)
    bias_z, bias_f = (None, None) if params.bias is None else jnp.split(params.bias, 2)
    z = tanh(affine(x, params.kernel, bias_z))
    return z, affine(z.astype(params.kernel.dtype), params.gate_kernel, bias_f)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    z, u = u
    f = jax.nn.sigmoid(u + v)
    return HiddenCarry(f * carry.h + (1 - f) * drop(z))
