"""Closed-form continuous-time networks (CfC)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import affine, sum_dtype, tanh, wide_update
from jaxrnn._core.timed import features, gaps
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import HiddenCarry, draw_each, project, recur, zero_carry
from jaxrnn.initializers import Initializer, glorot_uniform


class CfCParams(NamedTuple):
    kernel: jax.Array  # (I, K)
    recurrent_kernel: jax.Array  # (H, K)
    bias: jax.Array  # (K,)
    head_kernel: jax.Array  # (K, 4H), of f, g and the rate and offset of time
    head_bias: jax.Array  # (4H,)


@constructor
def cfc(
    hidden_size: int,
    *,
    backbone_size: int = 128,
    kernel_init: Initializer = glorot_uniform(),
    recurrent_kernel_init: Initializer = glorot_uniform(),
    head_kernel_init: Initializer = glorot_uniform(4),
    bias_init: Initializer = jax.nn.initializers.zeros,
) -> Cell:
    """Closed-form continuous-time network: a differential equation, solved for any gap (CfC).

        z = 1.7159 tanh(0.666 (W x + U h + b))
        f, g, a, b = V z + d
        s = σ(a Δt + b)
        h' = (1 - s) tanh(f) + s tanh(g)

    Δt is the time since the step before, so steps may come at irregular times. It approximates
    `jaxrnn.ltc` without a solver.

    Args:
      hidden_size: H.
      backbone_size: K, the number of units of z.
      kernel_init: draws `kernel` (I, K).
      recurrent_kernel_init: draws `recurrent_kernel` (H, K).
      head_kernel_init: draws `head_kernel` (K, 4H), V.
      bias_init: draws `bias` (K,) and `head_bias` (4H,).

    Returns:
      A `Cell` for inputs `jaxrnn.Timed`, with parameters `CfCParams` and carry `HiddenCarry`; its
      output is h', (..., H).

    Raises:
      ValueError, TypeError: a size is not a positive integer.

    References: Hasani et al., 2022, "Closed-form continuous-time neural networks".

    Examples:
      >>> layer = jaxrnn.rnn(jaxrnn.cfc(8, backbone_size=16))
      >>> xs = jaxrnn.Timed(jnp.ones((3, 4)), jnp.array([0.0, 0.1, 5.0]))  # (T, I), and gaps (T,)
      >>> params = jax.eval_shape(layer.init, jax.random.key(0), xs)
      >>> params.kernel.shape, params.recurrent_kernel.shape, params.head_kernel.shape
      ((4, 16), (8, 16), (16, 32))
      >>> jax.eval_shape(layer.apply, params, None, xs)[1].shape
      (3, 8)
    """
    check_size("hidden_size", hidden_size)
    check_size("backbone_size", backbone_size)

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (features(x).shape[-1], backbone_size)),
            "recurrent_kernel": (recurrent_kernel_init, (hidden_size, backbone_size)),
            "bias": (bias_init, (backbone_size,)),
            "head_kernel": (head_kernel_init, (backbone_size, 4 * hidden_size)),
            "head_bias": (bias_init, (4 * hidden_size,)),
        }
        return CfCParams(*draw_each(key, x, **parts))

    init_carry = zero_carry(CfCParams, HiddenCarry, hidden_size)
    return Cell(init, init_carry, _project, recur, update, reads_time=True)


def _project(params, x):
    return project(params, x.x), gaps(x, sum_dtype(params.kernel.dtype))


@wide_update
def update(params, carry, u, v, drop=lambda candidate: candidate):
    u, dt = u
    z = 1.7159 * tanh(0.666 * (u + v))
    heads = affine(z.astype(params.head_kernel.dtype), params.head_kernel, params.head_bias)
    f, g, rate, offset = jnp.split(heads, 4, axis=-1)
    s = jax.nn.sigmoid(rate * dt + offset)
    return HiddenCarry((1 - s) * drop(tanh(f)) + s * drop(tanh(g)))
