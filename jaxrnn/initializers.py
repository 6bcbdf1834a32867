"""Initializers for recurrent parameters, gate by gate.

Each has the signature of `jax.nn.initializers`: ``(key, shape, dtype) -> array``. The kernels of
the gates are stored side by side, ``(I, G*H)`` and ``(H, G*H)``; one draw over the whole array
would scale, or orthogonalize, the wrong matrix. `per_gate` draws each gate separately.
"""

import math
import numbers
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_size, describe
from jaxrnn._core.construction import recorded
from jaxrnn._core.numerics import sum_dtype
from jaxrnn._core.state_space import (
    hippo_legs,
    hippo_legs_kernel,
    hippo_legs_output_kernel,
    log_phase,
    log_step,
    ring,
    s4d_inv,
    s4d_lin,
    s4d_real,
)

__all__ = [
    "Initializer",
    "chrono",
    "glorot_uniform",
    "hippo_legs",
    "hippo_legs_kernel",
    "hippo_legs_output_kernel",
    "identity",
    "in_float32",
    "log_phase",
    "log_step",
    "orthogonal",
    "per_gate",
    "ring",
    "s4d_inv",
    "s4d_lin",
    "s4d_real",
    "spectral",
    "unit_forget_bias",
]

Initializer = Callable[..., jax.Array]  # (key, shape, dtype) -> array


def __dir__():
    return __all__


@recorded
def per_gate(initializer: Initializer, num_gates: int) -> Initializer:
    """Draws each of the `num_gates` equal blocks of the last axis separately.

    Args:
      initializer: draws one block, ``(key, shape, dtype) -> array``.
      num_gates: G; the last axis must be a multiple of it.
    """
    _check_callable(initializer)
    check_size("num_gates", num_gates)

    def init(key, shape, dtype=jnp.float32):
        if len(shape) == 0 or shape[-1] % num_gates:
            raise ValueError(
                f"`shape` must end in a multiple of `num_gates` = {num_gates}, got {shape}."
            )
        block = (*shape[:-1], shape[-1] // num_gates)
        keys = jax.random.split(key, num_gates)
        gates = jax.vmap(lambda key: initializer(key, block, dtype))(keys)  # (G, ..., N)
        return jnp.moveaxis(gates, 0, -2).reshape(shape)

    return init


@recorded
def in_float32(initializer: Initializer) -> Initializer:
    """Draws in float32 if the dtype is narrower, then casts.

    QR decomposition is not implemented in bfloat16, and a uniform draw there has only 256 values.

    Args:
      initializer: draws in float32, ``(key, shape, dtype) -> array``.
    """
    _check_callable(initializer)

    def init(key, shape, dtype=jnp.float32):
        wide = sum_dtype(dtype)
        return initializer(key, shape, wide).astype(dtype)

    return init


@recorded
def orthogonal(num_gates: int = 1, *, scale: float = 1.0) -> Initializer:
    """Orthogonal per gate, for recurrent kernels (Saxe, McClelland and Ganguli, 2014).

    Args:
      num_gates: G, as in `per_gate`.
      scale: multiplies the orthogonal matrices; a finite number.
    """
    scale = _finite("scale", scale)
    return per_gate(in_float32(jax.nn.initializers.orthogonal(scale)), num_gates)


@recorded
def glorot_uniform(num_gates: int = 1) -> Initializer:
    """Glorot uniform per gate, for input kernels (Glorot and Bengio, 2010).

    Args:
      num_gates: G, as in `per_gate`.
    """
    return per_gate(in_float32(jax.nn.initializers.glorot_uniform()), num_gates)


@recorded
def identity(num_gates: int = 1, *, scale: float = 1.0) -> Initializer:
    """`scale` times the identity matrix per gate (Le, Jaitly and Hinton, 2015: IRNN).

    Args:
      num_gates: G, as in `per_gate`.
      scale: multiplies the identity; a finite number.
    """
    scale = _finite("scale", scale)

    def init(key, shape, dtype=jnp.float32):
        if len(shape) != 2:
            raise ValueError(f"`shape` must be (N, N) per gate, got {shape}.")
        return scale * jnp.eye(*shape, dtype=dtype)

    return per_gate(init, num_gates)


@recorded
def spectral(radius: float, *, density: float = 1.0) -> Initializer:
    """A random matrix with this spectral radius, for reservoirs (Jaeger, 2001).

    Args:
      radius: the largest absolute value of an eigenvalue; a finite number of 0 or more.
      density: the share of the entries that are not zero, above 0 and at most 1.
    """
    radius = _finite("radius", radius)
    density = _finite("density", density)
    if radius < 0:
        raise ValueError(f"`radius` must be 0 or more, got {radius}.")
    if not 0 < density <= 1:
        raise ValueError(f"`density` must be above 0 and at most 1, got {density}.")

    def init(key, shape, dtype=jnp.float32):
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError(f"`shape` must be (N, N), got {shape}.")
        value_key, place_key = jax.random.split(key)
        values = jax.random.normal(value_key, shape, sum_dtype(dtype))
        values = jnp.where(jax.random.uniform(place_key, shape) < density, values, 0)
        return (radius / _spectral_radius(values) * values).astype(dtype)

    return init


def _spectral_radius(matrix):
    """The limit of |W^k|^(1/k), by squaring: no eigenvalues, which not every device computes."""

    def square(_, state):
        power, log_norm = state
        power = power @ power
        norm = jnp.maximum(jnp.linalg.norm(power), jnp.finfo(power.dtype).tiny)
        return power / norm, 2 * log_norm + jnp.log(norm)

    norm = jnp.maximum(jnp.linalg.norm(matrix), jnp.finfo(matrix.dtype).tiny)
    count = 14
    _, log_norm = jax.lax.fori_loop(0, count, square, (matrix / norm, jnp.log(norm)))
    return jnp.exp(log_norm / 2**count)


@recorded
def unit_forget_bias(*, gates: str = "ifgo", forget: float = 1.0) -> Initializer:
    """Zeros, with `forget` at the forget gate (Gers, Schmidhuber and Cummins, 2000).

    Args:
      gates: one letter per gate, in the order of the bias; ``"ifgo"`` for an LSTM. One of them
        must be ``f``.
      forget: the bias of the forget gate, a finite number. Positive values remember.
    """
    forget = _finite("forget", forget)
    _check_gates(gates)
    blocks = [forget if gate == "f" else 0.0 for gate in gates]
    if "f" not in gates:
        raise ValueError(f"`gates` must name a forget gate 'f', got {gates!r}.")

    def init(key, shape, dtype=jnp.float32):
        hidden_size = _gate_size(shape, gates)
        return jnp.repeat(jnp.array(blocks, dtype), hidden_size)

    return init


@recorded
def chrono(max_time: float, *, gates: str = "ifgo") -> Initializer:
    """Biases that remember for up to `max_time` steps (Tallec and Ollivier, 2018).

    The gate that keeps, ``f`` of an LSTM or ``z`` of a GRU, gets ``log U(1, max_time - 1)``; the
    input gate ``i`` of an LSTM gets its negative; other gates get zero.

    Args:
      max_time: the longest dependency expected, in steps; finite and more than 2.
      gates: one letter per gate, in the order of the bias: ``"ifgo"`` for an LSTM, ``"rzn"`` for
        a GRU.
    """
    max_time = _finite("max_time", max_time)
    _check_gates(gates)
    if not max_time > 2:
        raise ValueError(f"`max_time` must be more than 2 steps, got {max_time}.")
    if not set(gates) & {"f", "z"}:
        raise ValueError(f"`gates` must name a gate that keeps, 'f' or 'z', got {gates!r}.")

    def init(key, shape, dtype=jnp.float32):
        hidden_size = _gate_size(shape, gates)
        wide = sum_dtype(dtype)
        keep = jnp.log(jax.random.uniform(key, (hidden_size,), wide, 1.0, max_time - 1.0))
        biases = {"f": keep, "z": keep, "i": -keep}
        return jnp.concatenate([biases.get(g, jnp.zeros_like(keep)) for g in gates]).astype(dtype)

    return init


def _gate_size(shape: tuple[int, ...], gates: str) -> int:
    if len(shape) != 1 or math.prod(shape) % len(gates):
        raise ValueError(
            f"`shape` must be (G*H,) with G = {len(gates)} for `gates` = {gates!r}, got {shape}."
        )
    return shape[0] // len(gates)


def _finite(name: str, value: Any) -> float:
    """`value` as a float. Raises unless it is a finite number; the message calls it `name`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a finite number, got {describe(value)}.")
    if not math.isfinite(value):
        raise ValueError(f"`{name}` must be a finite number, got {value}.")
    return float(value)  # a NumPy scalar would promote what it multiplies


def _check_callable(initializer: Any) -> None:
    if not callable(initializer):
        raise TypeError(
            "`initializer` must be a function (key, shape, dtype) -> array, got "
            f"{describe(initializer)}. For a constant, use `jax.nn.initializers.constant`."
        )


def _check_gates(gates: Any) -> None:
    if not isinstance(gates, str):
        raise TypeError(f"`gates` must be a string, one letter per gate, got {describe(gates)}.")
