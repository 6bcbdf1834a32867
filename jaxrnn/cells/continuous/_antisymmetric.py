"""Recurrent networks whose recurrent kernel is antisymmetric (AntisymmetricRNN)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_positive, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import HiddenCarry, of_gates
from jaxrnn.initializers import Initializer, glorot_uniform, in_float32

NORMAL = in_float32(jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal"))


class AntisymmetricParams(NamedTuple):
    kernel: jax.Array  # (I, H)
    recurrent_kernel: jax.Array  # (H, H), U
    bias: jax.Array | None  # (H,); None without a bias


class GatedAntisymmetricParams(NamedTuple):
    kernel: jax.Array  # (I, 2H), gates z n
    recurrent_kernel: jax.Array  # (H, H), U, which both share
    bias: jax.Array | None  # (2H,); None without a bias


@constructor
def antisymmetric(
    hidden_size: int,
    *,
    step_size: float = 0.01,
    diffusion: float = 0.01,
    kernel_init: Initializer = glorot_uniform(),
    recurrent_kernel_init: Initializer = NORMAL,
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Recurrent network with an antisymmetric kernel: its gradient hardly vanishes or explodes.

        h' = h + ε tanh(W x + (U - Uᵀ - γ) h + b)

    The eigenvalues of U - Uᵀ are imaginary, so the differential equation behind it neither damps
    nor amplifies. Its steps of ε amplify a little, which γ makes up for: keep ε small.

    Args:
      hidden_size: H.
      step_size: ε, above 0.
      diffusion: γ, above 0.
      kernel_init: draws `kernel` (I, H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, H).
      bias_init: draws `bias` (H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `AntisymmetricParams` and carry `HiddenCarry`; its output is h',
      (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, a number is not above 0, or
        `use_bias` is not a bool.

    References: Chang, Chen, Haber and Chi, 2019, "AntisymmetricRNN: a dynamical system view on
    recurrent neural networks".

    Examples:
      >>> cell = jaxrnn.antisymmetric(8)
      >>> params = cell.init(jax.random.key(0), jnp.ones(4))
      >>> start = jaxrnn.HiddenCarry(jnp.ones(8))
      >>> carry, _ = jaxrnn.unroll(cell, params, start, jnp.zeros((100, 4)))
      >>> bool(0.5 < jnp.linalg.norm(carry.h) / jnp.linalg.norm(start.h) < 2.0)  # 100 steps later
      True
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    step_size = check_positive("step_size", step_size)

    @wide_update
    def update(params, carry, u, v, drop=lambda candidate: candidate):
        return HiddenCarry(carry.h + step_size * drop(tanh(u + v)))

    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None
    cell = of_gates(AntisymmetricParams, HiddenCarry, hidden_size, 1, inits, update)
    return cell._replace(prepare=_prepare_with(diffusion))


@constructor
def gated_antisymmetric(
    hidden_size: int,
    *,
    step_size: float = 0.01,
    diffusion: float = 0.01,
    kernel_init: Initializer = glorot_uniform(2),
    recurrent_kernel_init: Initializer = NORMAL,
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Recurrent network with an antisymmetric kernel, and a gate that shares it.

        z, n = W x + b,  with (U - Uᵀ - γ) h added to both
        h' = h + ε σ(z) tanh(n)

    Args:
      hidden_size: H.
      step_size: ε, above 0.
      diffusion: γ, above 0.
      kernel_init: draws `kernel` (I, 2H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, H).
      bias_init: draws `bias` (2H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `GatedAntisymmetricParams` and carry `HiddenCarry`; its output is h',
      (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, a number is not above 0, or
        `use_bias` is not a bool.

    References: as of `jaxrnn.antisymmetric`.

    Examples:
      >>> cell = jaxrnn.gated_antisymmetric(8, step_size=0.1)
      >>> xs = 100 * jnp.ones((5, 4))  # (T, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> params.kernel.shape, params.recurrent_kernel.shape  # one U for both
      ((4, 16), (8, 8))
      >>> _, ys = jaxrnn.unroll(cell, params, None, xs)
      >>> bool((jnp.abs(ys[1:] - ys[:-1]) < 0.101).all())  # no step is longer than ε
      True
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    step_size = check_positive("step_size", step_size)

    @wide_update
    def update(params, carry, u, v, drop=lambda candidate: candidate):
        z, n = jnp.split(u, 2, axis=-1)
        step = step_size * jax.nn.sigmoid(z + v)
        return HiddenCarry(carry.h + step * drop(tanh(n + v)))

    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None
    params = GatedAntisymmetricParams
    cell = of_gates(params, HiddenCarry, hidden_size, 2, inits, update, recurrent_gates=1)
    return cell._replace(prepare=_prepare_with(diffusion))


def _prepare_with(diffusion):
    diffusion = check_positive("diffusion", diffusion)

    def prepare(params, context):
        kernel = params.recurrent_kernel
        damping = diffusion * jnp.eye(len(kernel), dtype=kernel.dtype)
        return params._replace(recurrent_kernel=kernel - kernel.T - damping)

    return prepare
