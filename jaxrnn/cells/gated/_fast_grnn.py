"""The gated recurrent network whose gate shares its kernels (FastGRNN)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_features, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import add_bias, matmul, over_rows, tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import HiddenCarry, draw_each, recur, zero_carry
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class FastGRNNParams(NamedTuple):
    kernel: jax.Array  # (I, H)
    recurrent_kernel: jax.Array  # (H, H)
    bias: jax.Array | None  # (2H,), gates z n; None without biases
    zeta: jax.Array  # (1,)
    nu: jax.Array  # (1,)


@constructor
def fast_grnn(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(),
    recurrent_kernel_init: Initializer = orthogonal(),
    bias_init: Initializer = jax.nn.initializers.ones,
    zeta_init: Initializer = jax.nn.initializers.constant(1.0),
    nu_init: Initializer = jax.nn.initializers.constant(-4.0),
    use_bias: bool = True,
) -> Cell:
    """Gated recurrent network whose gate and candidate share their kernels (FastGRNN).

        a = W x + U h
        z = σ(a + b_z)
        h' = (σ(ζ) (1 - z) + σ(ν)) tanh(a + b_n) + z h

    A gate for a bias and two scalars more than `jaxrnn.elman`. For small devices.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, H).
      bias_init: draws `bias` (2H,).
      zeta_init: draws `zeta` (1,).
      nu_init: draws `nu` (1,).
      use_bias: whether there are biases b; without them, `bias` is None.

    Returns:
      A `Cell` with parameters `FastGRNNParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Kusupati et al., 2018, "FastGRNN: a fast, accurate, stable and tiny kilobyte sized
    gated recurrent neural network".

    Examples:
      >>> cell = jaxrnn.fast_grnn(8)
      >>> params = jax.eval_shape(cell.init, jax.random.key(0), jnp.ones((2, 4)))  # (B, I)
      >>> {name: leaf.shape for name, leaf in params._asdict().items()}
      {'kernel': (4, 8), 'recurrent_kernel': (8, 8), 'bias': (16,), 'zeta': (1,), 'nu': (1,)}
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (x.shape[-1], hidden_size)),
            "recurrent_kernel": (recurrent_kernel_init, (hidden_size, hidden_size)),
            "bias": (bias_init if use_bias else None, (2 * hidden_size,)),
            "zeta": (zeta_init, (1,)),
            "nu": (nu_init, (1,)),
        }
        return FastGRNNParams(*draw_each(key, x, **parts))

    init_carry = zero_carry(FastGRNNParams, HiddenCarry, hidden_size)
    return Cell(init, init_carry, _project, recur, _update)


def _project(params, x):
    check_features(x, params.kernel.shape[0], params.kernel.dtype)
    return matmul(x, params.kernel)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    a = u + v
    b_z, b_n = (None, None) if params.bias is None else jnp.split(params.bias, 2)
    z = jax.nn.sigmoid(add_bias(a, b_z))
    zeta, nu = (jax.nn.sigmoid(over_rows(x, a)) for x in (params.zeta, params.nu))
    return HiddenCarry((zeta * (1 - z) + nu) * drop(tanh(add_bias(a, b_n))) + z * carry.h)
