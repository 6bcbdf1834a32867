"""The coupled oscillatory recurrent network (coRNN)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_positive, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import matmul, tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import draw_each, project, zero_carry
from jaxrnn.cells.continuous._oscillator import OscillatorCarry
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class CoRNNParams(NamedTuple):
    kernel: jax.Array  # (I, H)
    recurrent_kernel: jax.Array  # (2H, H), of the positions h and the velocities z
    bias: jax.Array | None  # (H,); None without a bias


@constructor
def cornn(
    hidden_size: int,
    *,
    step_size: float = 0.05,
    gamma: float = 2.0,
    epsilon: float = 4.0,
    kernel_init: Initializer = glorot_uniform(),
    recurrent_kernel_init: Initializer = orthogonal(),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Coupled oscillatory recurrent network: damped, driven oscillators (coRNN).

        z' = z + Δt (tanh(W x + U [h, z] + b) - γ h - ε z)
        h' = h + Δt z'

    The gradient neither explodes nor vanishes fast while Δt is small. Tune Δt, γ and ε to the task:
    the paper has Δt between 0.01 and 0.08, γ and ε between 1 and 13.

    Args:
      hidden_size: H.
      step_size: Δt, above 0.
      gamma: γ, which pulls an oscillator back, above 0.
      epsilon: ε, which damps it, above 0.
      kernel_init: draws `kernel` (I, H).
      recurrent_kernel_init: draws `recurrent_kernel` (2H, H).
      bias_init: draws `bias` (H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `CoRNNParams` and carry `OscillatorCarry`; its output is h',
      (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, a number is not above 0, or
        `use_bias` is not a bool.

    References: Rusch and Mishra, 2021, "Coupled oscillatory recurrent neural network (coRNN): an
    accurate and (gradient) stable architecture for learning long time dependencies".

    Examples:
      >>> cell = jaxrnn.cornn(8, step_size=0.1, gamma=1.0, epsilon=2.0)
      >>> x = jnp.ones((2, 4))  # (B, I)
      >>> params = cell.init(jax.random.key(0), x)
      >>> carry, y = jaxrnn.step(cell, params, None, x)
      >>> bool(jnp.allclose(carry.h, 0.1 * carry.z))  # from 0, by Δt times the velocity
      True
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    step_size = check_positive("step_size", step_size)
    gamma, epsilon = check_positive("gamma", gamma), check_positive("epsilon", epsilon)

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (x.shape[-1], hidden_size)),
            "recurrent_kernel": (recurrent_kernel_init, (2 * hidden_size, hidden_size)),
            "bias": (bias_init if use_bias else None, (hidden_size,)),
        }
        return CoRNNParams(*draw_each(key, x, **parts))

    @wide_update
    def update(params, carry, u, v):
        h, z = carry
        z = z + step_size * (tanh(u + v) - gamma * h - epsilon * z)
        return OscillatorCarry(h + step_size * z, z)

    init_carry = zero_carry(CoRNNParams, OscillatorCarry, hidden_size, hidden_size)
    return Cell(init, init_carry, project, _recur, update)


def _recur(params, carry):
    return matmul(jnp.concatenate(carry, axis=-1), params.recurrent_kernel)
