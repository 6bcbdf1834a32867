"""Initializers for recurrent parameters, gate by gate.

Each has the signature of `jax.nn.initializers`: ``(key, shape, dtype) -> array``. The kernels of
the gates are stored side by side, ``(I, G*H)`` and ``(H, G*H)``; one draw over the whole array
would scale, or orthogonalize, the wrong matrix. `per_gate` draws each gate separately.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_finite, check_size, describe
from jaxrnn._core.construction import recorded
from jaxrnn._core.numerics import sum_dtype
from jaxrnn._core.reservoir import spectral
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

    Raises:
      ValueError, TypeError: `initializer` is not a function, `num_gates` is not a positive integer,
        or, when it draws, the last axis is not a multiple of G.

    Examples:
      >>> eye = lambda key, shape, dtype: jnp.eye(*shape, dtype=dtype)
      >>> init = jaxrnn.initializers.per_gate(eye, 3)
      >>> init(jax.random.key(0), (2, 6)).tolist()  # three blocks (2, 2)
      [[1.0, 0.0, 1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]]
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

    Raises:
      TypeError: `initializer` is not a function.

    Examples:
      >>> init = jaxrnn.initializers.in_float32(jax.nn.initializers.orthogonal())
      >>> init(jax.random.key(0), (4, 4), jnp.bfloat16).dtype
      dtype(bfloat16)
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

    Raises:
      ValueError, TypeError: as `per_gate`, or `scale` is not a finite number.

    Examples:
      >>> kernel = jaxrnn.initializers.orthogonal(4)(jax.random.key(0), (3, 12))  # (H, G*H)
      >>> gates = [kernel[:, 3 * g : 3 * g + 3] for g in range(4)]
      >>> [bool(jnp.allclose(gate @ gate.T, jnp.eye(3), atol=1e-5)) for gate in gates]
      [True, True, True, True]
    """
    scale = check_finite("scale", scale)
    return per_gate(in_float32(jax.nn.initializers.orthogonal(scale)), num_gates)


@recorded
def glorot_uniform(num_gates: int = 1) -> Initializer:
    """Glorot uniform per gate, for input kernels (Glorot and Bengio, 2010).

    Args:
      num_gates: G, as in `per_gate`.

    Raises:
      ValueError, TypeError: as `per_gate`.

    Examples:
      >>> kernel = jaxrnn.initializers.glorot_uniform(4)(jax.random.key(0), (2, 16))  # (I, G*H)
      >>> bool(jnp.abs(kernel).max() <= 1)  # sqrt(6 / (I + H)), where I = 2 and H = 4
      True
    """
    return per_gate(in_float32(jax.nn.initializers.glorot_uniform()), num_gates)


@recorded
def identity(num_gates: int = 1, *, scale: float = 1.0) -> Initializer:
    """`scale` times the identity matrix per gate (Le, Jaitly and Hinton, 2015: IRNN).

    Args:
      num_gates: G, as in `per_gate`.
      scale: multiplies the identity; a finite number.

    Raises:
      ValueError, TypeError: as `per_gate`, `scale` is not a finite number, or the shape drawn has
        other than two axes.

    Examples:
      >>> init = jaxrnn.initializers.identity(scale=0.5)
      >>> init(jax.random.key(0), (2, 2)).tolist()
      [[0.5, 0.0], [0.0, 0.5]]
      >>> irnn = jaxrnn.elman(64, activation=jax.nn.relu, recurrent_kernel_init=init)
    """
    scale = check_finite("scale", scale)

    def init(key, shape, dtype=jnp.float32):
        if len(shape) != 2:
            raise ValueError(f"`shape` must be (N, N) per gate, got {shape}.")
        return scale * jnp.eye(*shape, dtype=dtype)

    return per_gate(init, num_gates)


@recorded
def unit_forget_bias(*, gates: str = "ifgo", forget: float = 1.0) -> Initializer:
    """Zeros, with `forget` at the forget gate (Gers, Schmidhuber and Cummins, 2000).

    Args:
      gates: one letter per gate, in the order of the bias; ``"ifgo"`` for an LSTM. One of them
        must be ``f``.
      forget: the bias of the forget gate, a finite number. Positive values remember.

    Raises:
      ValueError, TypeError: `gates` is not a string with an ``f``, `forget` is not a finite number,
        or the shape drawn is not (G*H,).

    Examples:
      >>> jaxrnn.initializers.unit_forget_bias()(jax.random.key(0), (8,)).tolist()  # i f g o
      [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
      >>> bias_init = jaxrnn.initializers.unit_forget_bias(forget=2.0)
      >>> cell = jaxrnn.lstm(64, bias_init=bias_init)
    """
    forget = check_finite("forget", forget)
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

    Raises:
      ValueError, TypeError: `max_time` is not a finite number above 2, `gates` is not a string with
        an ``f`` or ``z``, or the shape drawn is not (G*H,).

    Examples:
      >>> init = jaxrnn.initializers.chrono(100, gates="ifgo")
      >>> i, f, g, o = init(jax.random.key(0), (32,)).reshape(4, 8)
      >>> bool((f >= 0).all()), bool((f < np.log(99)).all()), bool((i == -f).all())
      (True, True, True)
    """
    max_time = check_finite("max_time", max_time)
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


def _check_callable(initializer: Any) -> None:
    if not callable(initializer):
        raise TypeError(
            "`initializer` must be a function (key, shape, dtype) -> array, got "
            f"{describe(initializer)}. For a constant, use `jax.nn.initializers.constant`."
        )


def _check_gates(gates: Any) -> None:
    if not isinstance(gates, str):
        raise TypeError(f"`gates` must be a string, one letter per gate, got {describe(gates)}.")
