"""Long expressive memory (LEM)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_positive, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import matmul, tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import draw_each, project, recur, zero_carry
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class LEMParams(NamedTuple):
    kernel: jax.Array  # (I, 4H), of the two time steps, z and h
    recurrent_kernel: jax.Array  # (H, 3H), of the two time steps and z
    inner_kernel: jax.Array  # (H, H), V, from z to h
    bias: jax.Array | None  # (4H,); None without a bias


class LEMCarry(NamedTuple):
    h: jax.Array  # (..., H)
    z: jax.Array  # (..., H)


@constructor
def lem(
    hidden_size: int,
    *,
    step_size: float = 1.0,
    kernel_init: Initializer = glorot_uniform(4),
    recurrent_kernel_init: Initializer = orthogonal(3),
    inner_kernel_init: Initializer = orthogonal(),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Long expressive memory: a differential equation on several learned time scales (LEM).

        a, d, p, q = W x + b,  with U h added to a, d and p
        z' = z + Δt σ(a) (tanh(p) - z)
        h' = h + Δt σ(d) (tanh(q + V z') - h)

    Each unit chooses its own time step at each input. With Δt up to 1 the states stay in [-1, 1].
    The product with V needs z', so each step makes two products, one after the other.

    Args:
      hidden_size: H.
      step_size: Δt, the longest time step, above 0.
      kernel_init: draws `kernel` (I, 4H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 3H).
      inner_kernel_init: draws `inner_kernel` (H, H).
      bias_init: draws `bias` (4H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `LEMParams` and carry `LEMCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, `step_size` is not a number
        above 0, or `use_bias` is not a bool.

    References: Rusch, Mishra, Erichson and Mahoney, 2022, "Long expressive memory for sequence
    modeling".

    Examples:
      >>> cell = jaxrnn.lem(8, step_size=0.5)
      >>> xs = 100 * jnp.ones((20, 2, 4))  # (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> params.kernel.shape, params.recurrent_kernel.shape, params.inner_kernel.shape
      ((4, 32), (8, 24), (8, 8))
      >>> (h, z), ys = jaxrnn.unroll(cell, params, None, xs)
      >>> bool((jnp.abs(h) <= 1).all() & (jnp.abs(z) <= 1).all())
      True
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    step_size = check_positive("step_size", step_size)

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (x.shape[-1], 4 * hidden_size)),
            "recurrent_kernel": (recurrent_kernel_init, (hidden_size, 3 * hidden_size)),
            "inner_kernel": (inner_kernel_init, (hidden_size, hidden_size)),
            "bias": (bias_init if use_bias else None, (4 * hidden_size,)),
        }
        return LEMParams(*draw_each(key, x, **parts))

    @wide_update
    def update(params, carry, u, v, drop=lambda candidate: candidate):
        first, q = jnp.split(u, [v.shape[-1]], axis=-1)
        a, d, p = jnp.split(first + v, 3, axis=-1)
        z = carry.z + step_size * jax.nn.sigmoid(a) * (tanh(p) - carry.z)
        kernel = params.inner_kernel
        target = tanh(q + matmul(z.astype(kernel.dtype), kernel))
        h = carry.h + step_size * jax.nn.sigmoid(d) * (drop(target) - carry.h)
        return LEMCarry(h, z)

    init_carry = zero_carry(LEMParams, LEMCarry, hidden_size, hidden_size)
    return Cell(init, init_carry, project, recur, update)
