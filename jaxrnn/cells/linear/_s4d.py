"""The diagonal state space (S4D)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_features, check_params, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import over_rows, with_axes
from jaxrnn._core.types import Cell
from jaxrnn.cells._affine import Affine
from jaxrnn.cells._gated import draw_each
from jaxrnn.cells.linear._linear import linear_cell
from jaxrnn.cells.linear._state_space import (
    StateCarry,
    check_discretization,
    complex_dtype,
    discretized,
    log_decay_and_phase,
    scaled,
)
from jaxrnn.initializers import Initializer, in_float32, log_step, s4d_lin


class S4DParams(NamedTuple):
    log_step: jax.Array  # (I,), log Δ
    log_decay: jax.Array  # (I, N), log(-Re λ)
    phase: jax.Array  # (I, N), Im λ
    output_kernel: jax.Array  # (I, 2N), the real parts of C, then the imaginary ones
    skip: jax.Array  # (I,), D


class _Ready(NamedTuple):
    a: jax.Array  # (I, N), complex
    scale: jax.Array  # (I, N), complex
    output_kernel: jax.Array  # (I, 2N)
    skip: jax.Array  # (I,)


@constructor
def s4d(
    state_size: int,
    *,
    discretization: str = "zoh",
    eigenvalue_init: Initializer = s4d_lin(),
    log_step_init: Initializer = log_step(),
    output_kernel_init: Initializer = in_float32(jax.nn.initializers.normal(0.5**0.5)),
) -> Cell:
    """Diagonal state space: each feature is filtered alone, by N complex numbers (S4D).

        ḣ = λ h + x,  discretized with step Δ:  h' = exp(Δ λ) h + (exp(Δ λ) - 1) / λ x
        y = 2 Re(C h') + D x

    Each λ and h stands for a conjugate pair. Features do not mix: layers of it need a
    ``jaxrnn.dense`` and something nonlinear between them.

    Args:
      state_size: N, the number of complex numbers for each feature.
      discretization: ``"zoh"``, zero-order hold, or ``"bilinear"``.
      eigenvalue_init: draws λ (I, 2N), real parts below 0 and then imaginary parts: of
        `jaxrnn.initializers`, `s4d_lin`, `s4d_inv`, `s4d_real` or `hippo_legs`.
      log_step_init: draws `log_step` (I,).
      output_kernel_init: draws `output_kernel` (I, 2N).

    Returns:
      A `Cell` with parameters `S4DParams` and carry `StateCarry` (..., I, N); its output has as
      many features as its input, (..., I).

    Raises:
      ValueError, TypeError: `state_size` is not a positive integer, or `discretization` is not one
        of the two.

    References: Gu, Gupta, Goel and Ré, 2022, "On the parameterization and initialization of
    diagonal state space models".

    Examples:
      >>> cell = jaxrnn.s4d(16, eigenvalue_init=jaxrnn.initializers.s4d_inv())
      >>> xs = jnp.ones((50, 2, 4))  # (T, B, I)
      >>> params = jax.eval_shape(cell.init, jax.random.key(0), xs[0])
      >>> carry, ys = jax.eval_shape(jaxrnn.rnn(cell).apply, params, None, xs)
      >>> carry.state.shape, ys.shape  # 16 complex numbers for each feature
      ((2, 4, 16), (50, 2, 4))
    """
    check_size("state_size", state_size)
    check_discretization(discretization)

    def init(key, x):
        check_features(x)
        size = x.shape[-1]
        parts = {
            "log_step": (log_step_init, (size,)),
            "eigenvalue": (eigenvalue_init, (size, 2 * state_size)),
            "output_kernel": (output_kernel_init, (size, 2 * state_size)),
            "skip": (in_float32(jax.nn.initializers.normal(1.0)), (size,)),
        }
        steps, eigenvalues, *output = draw_each(key, x, **parts)
        return S4DParams(steps, *log_decay_and_phase(eigenvalues), *output)

    def init_carry(params, x):
        check_params(params, S4DParams)
        check_features(x)
        return StateCarry(jnp.zeros((*x.shape, state_size), complex_dtype(params.skip.dtype)))

    def prepare(params, context):
        steps = params.log_step[:, None]
        a, scale = discretized(params.log_decay, params.phase, steps, discretization)
        return _Ready(a, scale, params.output_kernel, params.skip)

    return linear_cell(init, init_carry, _project, output=_output, prepare=prepare)


def _project(params, x):
    check_features(x, params.skip.shape[0], params.skip.dtype)
    scale = with_axes(x.ndim + 1, params.scale)
    b = scaled(scale, x[..., None].astype(scale.real.dtype))
    return Affine(StateCarry(jnp.broadcast_to(params.a, b.shape)), StateCarry(b), x)


def _output(params, carry, u):
    """2 Re(C h) = 2 (Re C Re h - Im C Im h), summed over the states of each feature."""
    h, x = carry.state, u.extra
    real, imaginary = jnp.split(with_axes(h.ndim, params.output_kernel.astype(h.real.dtype)), 2, -1)
    y = 2 * jnp.sum(real * h.real - imaginary * h.imag, axis=-1)
    return (y + over_rows(params.skip, y) * x.astype(y.dtype)).astype(x.dtype)
