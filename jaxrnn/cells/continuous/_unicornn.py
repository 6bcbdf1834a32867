"""The undamped independent controlled oscillatory recurrent network (UnICORNN)."""

from typing import NamedTuple

import jax

from jaxrnn._core.checks import check_bool, check_positive, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import over_rows, tanh, wide_update
from jaxrnn._core.types import Cell, nothing
from jaxrnn.cells._gated import draw_each, project, zero_carry
from jaxrnn.cells.continuous._oscillator import OscillatorCarry
from jaxrnn.initializers import Initializer, glorot_uniform, in_float32


class UnICORNNParams(NamedTuple):
    kernel: jax.Array  # (I, H)
    recurrent_scale: jax.Array  # (H,), r
    time_scale: jax.Array  # (H,), c
    bias: jax.Array | None  # (H,); None without a bias


@constructor
def unicornn(
    hidden_size: int,
    *,
    step_size: float = 0.1,
    alpha: float = 1.0,
    kernel_init: Initializer = glorot_uniform(),
    recurrent_scale_init: Initializer = in_float32(jax.nn.initializers.uniform(1.0)),
    time_scale_init: Initializer = in_float32(jax.nn.initializers.normal(0.1)),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Undamped independent controlled oscillatory recurrent network (UnICORNN).

        Δ = Δt σ(c)
        z' = z - Δ (tanh(W x + r h + b) + α h)
        h' = h + Δ z'

    Each unit is an oscillator of its own, with a learned time scale. It can be inverted, and its
    gradient neither explodes nor vanishes fast. Units mix in the layers above, so stack two or
    more. There is no product in the loop.

    Args:
      hidden_size: H.
      step_size: Δt, above 0.
      alpha: α, which pulls an oscillator back, above 0.
      kernel_init: draws `kernel` (I, H).
      recurrent_scale_init: draws `recurrent_scale` (H,).
      time_scale_init: draws `time_scale` (H,).
      bias_init: draws `bias` (H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `UnICORNNParams` and carry `OscillatorCarry`; its output is h',
      (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, a number is not above 0, or
        `use_bias` is not a bool.

    References: Rusch and Mishra, 2021, "UnICORNN: a recurrent model for learning very long time
    dependencies".

    Examples:
      >>> cell = jaxrnn.unicornn(1, step_size=0.1)
      >>> still = jnp.array([-50.0])  # σ(c) is almost 0, so time stands still
      >>> params = jaxrnn.cells.UnICORNNParams(jnp.ones((1, 1)), jnp.ones(1), still, jnp.zeros(1))
      >>> start = jaxrnn.cells.OscillatorCarry(h=jnp.array([0.5]), z=jnp.array([1.0]))
      >>> carry, ys = jaxrnn.unroll(cell, params, start, jnp.ones((50, 1)))  # (T, I)
      >>> carry.h.tolist(), carry.z.tolist()
      ([0.5], [1.0])
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    step_size, alpha = check_positive("step_size", step_size), check_positive("alpha", alpha)

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (x.shape[-1], hidden_size)),
            "recurrent_scale": (recurrent_scale_init, (hidden_size,)),
            "time_scale": (time_scale_init, (hidden_size,)),
            "bias": (bias_init if use_bias else None, (hidden_size,)),
        }
        return UnICORNNParams(*draw_each(key, x, **parts))

    @wide_update
    def update(params, carry, u, v):
        h, z = carry
        step = step_size * jax.nn.sigmoid(over_rows(params.time_scale, u))
        z = z - step * (tanh(u + over_rows(params.recurrent_scale, u) * h) + alpha * h)
        return OscillatorCarry(h + step * z, z)

    init_carry = zero_carry(UnICORNNParams, OscillatorCarry, hidden_size, hidden_size)
    return Cell(init, init_carry, project, nothing, update)
