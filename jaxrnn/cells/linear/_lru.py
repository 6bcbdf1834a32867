"""The linear recurrent unit (LRU)."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_features, check_params, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import matmul, over_rows, sum_dtype
from jaxrnn._core.types import Cell
from jaxrnn.cells._affine import Affine
from jaxrnn.cells._gated import draw_each
from jaxrnn.cells.linear._linear import linear_cell
from jaxrnn.initializers import in_float32, log_phase, ring


class LRUParams(NamedTuple):
    log_decay: jax.Array  # (N,), ν: |λ| = exp(-exp ν)
    log_phase: jax.Array  # (N,), the logarithm of the argument of λ
    log_scale: jax.Array  # (N,), of what comes in
    kernel: jax.Array  # (I, 2N), the real parts of B, then the imaginary ones
    output_kernel: jax.Array  # (2N, I), the real parts of C, then the imaginary ones
    skip: jax.Array  # (I,), D


class LRUCarry(NamedTuple):
    state: jax.Array  # (..., N), complex


class _Ready(NamedTuple):
    eigenvalues: jax.Array  # (N,), complex
    scale: jax.Array  # (N,)
    kernel: jax.Array  # (I, 2N)
    output_kernel: jax.Array  # (2N, I)
    skip: jax.Array  # (I,)


@constructor
def lru(
    state_size: int,
    *,
    least_radius: float = 0.9,
    most_radius: float = 0.999,
    most_phase: float = 2 * math.pi,
) -> Cell:
    """Linear recurrent unit: a diagonal linear recurrence of complex numbers (LRU).

        s' = λ s + exp(γ) (B x)
        y = Re(C s') + D x

    |λ| < 1 whatever is learned. Layers of it need something nonlinear between them, such as
    ``jaxrnn.dense`` and a gate.

    Args:
      state_size: N, the number of complex numbers in the state.
      least_radius: the least |λ| at the start, above 0.
      most_radius: the greatest |λ| at the start, below 1.
      most_phase: the greatest argument of λ at the start, in radians; small ones for long
        sequences.

    Returns:
      A `Cell` with parameters `LRUParams` and carry `LRUCarry`; its output has as many features as
      its input, (..., I).

    Raises:
      ValueError, TypeError: `state_size` is not a positive integer, or a radius or phase is out of
        range.

    References: Orvieto et al., 2023, "Resurrecting recurrent neural networks for long sequences".

    Examples:
      >>> cell = jaxrnn.lru(16, most_phase=0.3)  # slow rotations, for long sequences
      >>> xs = jnp.ones((50, 2, 4))  # (T, B, I)
      >>> params = jax.eval_shape(cell.init, jax.random.key(0), xs[0])
      >>> params.kernel.shape, params.output_kernel.shape
      ((4, 32), (32, 4))
      >>> carry, ys = jax.eval_shape(jaxrnn.rnn(cell).apply, params, None, xs)
      >>> carry.state.shape, carry.state.dtype, ys.shape
      ((2, 16), dtype('complex64'), (50, 2, 4))
    """
    check_size("state_size", state_size)
    decay_init, phase_init = ring(least_radius, most_radius), log_phase(most_phase)

    def init(key, x):
        check_features(x)
        size = x.shape[-1]
        parts = {
            "log_decay": (decay_init, (state_size,)),
            "log_phase": (phase_init, (state_size,)),
            "kernel": (_normal(2 * size), (size, 2 * state_size)),
            "output_kernel": (_normal(state_size), (2 * state_size, size)),
            "skip": (_normal(1), (size,)),
        }
        decay, phase, kernel, output_kernel, skip = draw_each(key, x, **parts)
        # What comes in is scaled so that the state keeps the variance of its input.
        wide = decay.astype(sum_dtype(decay.dtype))
        scale = 0.5 * jnp.log(-jnp.expm1(-2 * jnp.exp(wide)))
        return LRUParams(decay, phase, scale.astype(decay.dtype), kernel, output_kernel, skip)

    def init_carry(params, x):
        check_params(params, LRUParams)
        check_features(x)
        return LRUCarry(jnp.zeros((*x.shape[:-1], state_size), _complex(params.kernel.dtype)))

    return linear_cell(init, init_carry, _project, output=_output, prepare=_prepare)


def _normal(variance_over):
    return in_float32(jax.nn.initializers.normal(variance_over**-0.5))


def _complex(dtype):
    return jnp.complex128 if jnp.dtype(dtype) == jnp.float64 else jnp.complex64


def _prepare(params, context):
    wide = sum_dtype(params.kernel.dtype)
    decay, phase, scale = (leaf.astype(wide) for leaf in params[:3])
    radius, angle = jnp.exp(-jnp.exp(decay)), jnp.exp(phase)
    eigenvalues = jax.lax.complex(radius * jnp.cos(angle), radius * jnp.sin(angle))
    return _Ready(eigenvalues, jnp.exp(scale), *params[3:])


def _project(params, x):
    check_features(x, params.kernel.shape[0], params.kernel.dtype)
    real, imaginary = jnp.split(matmul(x, params.kernel), 2, axis=-1)
    scale = over_rows(params.scale, real)
    b = jax.lax.complex(scale * real, scale * imaginary)
    a = jnp.broadcast_to(params.eigenvalues, b.shape)
    return Affine(LRUCarry(a), LRUCarry(b), x)


def _output(params, carry, u):
    """Re(C s) = Re C Re s - Im C Im s."""
    s, x = carry.state, u.extra
    parts = jnp.concatenate([s.real, -s.imag], axis=-1).astype(x.dtype)
    y = matmul(parts, params.output_kernel)
    return (y + over_rows(params.skip, y) * x.astype(y.dtype)).astype(x.dtype)
