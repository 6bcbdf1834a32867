"""The simplified state space (S5)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_features, check_params, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import matmul, over_rows, with_axes
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
from jaxrnn.initializers import (
    Initializer,
    hippo_legs,
    hippo_legs_kernel,
    hippo_legs_output_kernel,
    in_float32,
    log_step,
)


class S5Params(NamedTuple):
    log_step: jax.Array  # (N,), log Δ
    log_decay: jax.Array  # (N,), log(-Re λ)
    phase: jax.Array  # (N,), Im λ
    kernel: jax.Array  # (I, 2N), the real parts of B, then the imaginary ones
    output_kernel: jax.Array  # (2N, I), the real parts of C, then the imaginary ones
    skip: jax.Array  # (I,), D


class _Ready(NamedTuple):
    a: jax.Array  # (N,), complex
    scale: jax.Array  # (N,), complex
    kernel: jax.Array  # (I, 2N)
    output_kernel: jax.Array  # (2N, I)
    skip: jax.Array  # (I,)


@constructor
def s5(
    state_size: int,
    *,
    discretization: str = "zoh",
    eigenvalue_init: Initializer = hippo_legs(),
    log_step_init: Initializer = log_step(),
    kernel_init: Initializer = hippo_legs_kernel(),
    output_kernel_init: Initializer = hippo_legs_output_kernel(),
) -> Cell:
    """Simplified state space: one state of N complex numbers for all features (S5).

        ḣ = λ h + B x,  discretized with steps Δ:  h' = exp(Δ λ) h + (exp(Δ λ) - 1) / λ (B x)
        y = 2 Re(C h') + D x

    Each λ and h stands for a conjugate pair. At the start it is a real system of 2N states with
    the normal part of the HiPPO-LegS matrix, in the basis of its eigenvectors. Layers of it need
    something nonlinear between them.

    Args:
      state_size: N, the number of complex numbers in the state.
      discretization: ``"zoh"``, zero-order hold, or ``"bilinear"``.
      eigenvalue_init: draws λ (2N,), real parts below 0 and then imaginary parts. With several
        blocks, ``hippo_legs(num_blocks)``, give both kernels as many.
      log_step_init: draws `log_step` (N,).
      kernel_init: draws `kernel` (I, 2N).
      output_kernel_init: draws `output_kernel` (2N, I).

    Returns:
      A `Cell` with parameters `S5Params` and carry `StateCarry` (..., N); its output has as many
      features as its input, (..., I).

    Raises:
      ValueError, TypeError: `state_size` is not a positive integer, or `discretization` is not one
        of the two.

    References: Smith, Warrington and Linderman, 2023, "Simplified state space layers for sequence
    modeling".

    Examples:
      >>> cell = jaxrnn.s5(16, discretization="bilinear")
      >>> xs = jnp.ones((50, 2, 4))  # (T, B, I)
      >>> params = jax.eval_shape(cell.init, jax.random.key(0), xs[0])
      >>> params.kernel.shape, params.output_kernel.shape
      ((4, 32), (32, 4))
      >>> carry, ys = jax.eval_shape(jaxrnn.rnn(cell).apply, params, None, xs)
      >>> carry.state.shape, ys.shape  # 16 complex numbers for all features
      ((2, 16), (50, 2, 4))
    """
    check_size("state_size", state_size)
    check_discretization(discretization)

    def init(key, x):
        check_features(x)
        size = x.shape[-1]
        parts = {
            "log_step": (log_step_init, (state_size,)),
            "eigenvalue": (eigenvalue_init, (2 * state_size,)),
            "kernel": (kernel_init, (size, 2 * state_size)),
            "output_kernel": (output_kernel_init, (2 * state_size, size)),
            "skip": (in_float32(jax.nn.initializers.normal(1.0)), (size,)),
        }
        steps, eigenvalues, *others = draw_each(key, x, **parts)
        return S5Params(steps, *log_decay_and_phase(eigenvalues), *others)

    def init_carry(params, x):
        check_params(params, S5Params)
        check_features(x)
        dtype = complex_dtype(params.kernel.dtype)
        return StateCarry(jnp.zeros((*x.shape[:-1], state_size), dtype))

    def prepare(params, context):
        a, scale = discretized(params.log_decay, params.phase, params.log_step, discretization)
        return _Ready(a, scale, *params[3:])

    return linear_cell(init, init_carry, _project, output=_output, prepare=prepare)


def _project(params, x):
    check_features(x, params.kernel.shape[0], params.kernel.dtype)
    real, imaginary = jnp.split(matmul(x, params.kernel), 2, axis=-1)
    b = scaled(with_axes(x.ndim, params.scale), real, imaginary)
    return Affine(StateCarry(jnp.broadcast_to(params.a, b.shape)), StateCarry(b), x)


def _output(params, carry, u):
    """2 Re(C h) = 2 (Re C Re h - Im C Im h)."""
    h, x = carry.state, u.extra
    parts = jnp.concatenate([h.real, -h.imag], axis=-1).astype(x.dtype)
    y = 2 * matmul(parts, params.output_kernel)
    return (y + over_rows(params.skip, y) * x.astype(y.dtype)).astype(x.dtype)
