"""Shared by linear state spaces: their complex states, and how they come to discrete time."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.numerics import sum_dtype

DISCRETIZATIONS = ("zoh", "bilinear")


class StateCarry(NamedTuple):
    """The carry of a cell whose state is complex."""

    state: jax.Array  # (..., N), or (..., I, N) with a state for each feature


def check_discretization(discretization: Any) -> None:
    """Raises unless this names a way to discretize."""
    if discretization not in DISCRETIZATIONS:
        raise ValueError(
            f"`discretization` must be one of {list(DISCRETIZATIONS)}, got {discretization!r}."
        )


def complex_dtype(dtype: Any) -> jnp.dtype:
    """The dtype of complex states, for parameters of `dtype`: complex64, or complex128."""
    return jnp.dtype(jnp.complex128 if jnp.dtype(dtype) == jnp.float64 else jnp.complex64)


def log_decay_and_phase(eigenvalues: jax.Array) -> tuple[jax.Array, jax.Array]:
    """log(-Re λ) and Im λ (..., N) of eigenvalues (..., 2N), whose real parts are below 0."""
    real, imaginary = jnp.split(eigenvalues, 2, axis=-1)
    return jnp.log(-real), imaginary


def discretized(
    log_decay: jax.Array, phase: jax.Array, log_step: jax.Array, discretization: str
) -> tuple[jax.Array, jax.Array]:
    """The coefficients of h' = a h + s B x, from ḣ = λ h + B x with λ = -exp(log_decay) + i phase.

    Zero-order hold, of inputs that stay as they are for a step: a = exp(Δ λ), s = (a - 1) / λ. The
    bilinear transform: a = (1 + Δ λ / 2) / (1 - Δ λ / 2), s = Δ / (1 - Δ λ / 2).

    Args:
      log_decay: (..., N).
      phase: (..., N).
      log_step: log Δ, which broadcasts against both.
      discretization: a name.

    Returns:
      a and s, complex (..., N).
    """
    wide = sum_dtype(log_decay.dtype)
    decay, step = jnp.exp(log_decay.astype(wide)), jnp.exp(log_step.astype(wide))
    phase = phase.astype(wide)
    z = jax.lax.complex(-step * decay, step * phase)
    if discretization == "zoh":
        mean = _mean_growth(z)
        return jnp.exp(z), jax.lax.complex(step * mean.real, step * mean.imag)
    step = jnp.broadcast_to(step, decay.shape)
    below = 1 - 0.5 * z
    return (1 + 0.5 * z) / below, jax.lax.complex(step, jnp.zeros_like(step)) / below


def _mean_growth(z):
    """(exp(z) - 1) / z, by its series near 0, where the derivative of the quotient loses digits."""
    is_small = jnp.abs(z) < 0.1
    near, far = jnp.where(is_small, z, 0), jnp.where(is_small, 1, z)
    series = jnp.ones_like(z)
    for k in range(11, 1, -1):
        series = 1 + near / k * series
    return jnp.where(is_small, series, jnp.expm1(far) / far)


def scaled(scale: jax.Array, real: jax.Array, imaginary: jax.Array | None = None) -> jax.Array:
    """``scale * (real + i imaginary)``; leave out `imaginary` for real numbers."""
    if imaginary is None:
        return jax.lax.complex(scale.real * real, scale.imag * real)
    return scale * jax.lax.complex(real, imaginary)
