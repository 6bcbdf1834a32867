"""How much of its past input a network holds."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_array, check_count, check_size, describe
from jaxrnn._core.numerics import sum_dtype
from jaxrnn.diagnostics._states import check_states
from jaxrnn.training._ridge import ridge_readout


class MemoryCapacity(NamedTuple):
    """How well the input of some steps before can be read from the states."""

    total: jax.Array  # (), the sum of `by_delay`; at most H for independent inputs
    by_delay: jax.Array  # (D,), for delays of 1 to D steps: squared correlations, 0 to 1


def memory_capacity(
    states: jax.Array,
    signal: jax.Array,
    *,
    max_delay: int,
    warmup: int = 0,
    penalty: float = 1e-7,
) -> MemoryCapacity:
    """Memory capacity: how many of its past inputs can be read linearly from a network's states.

        MC = Σ_k r²(signal(t - k), readout_k(states(t)))

    Drive the network with independent random numbers, for many more steps than it has units. A
    readout for each delay is fitted to the first half of the steps and scored on the second.

        signal = jax.random.uniform(key, (4000,), minval=-1.0)
        _, states = jaxrnn.unroll(cell, params, None, signal[:, None])
        memory_capacity(states, signal, max_delay=100, warmup=200).total

    Args:
      states: (T, H), of one sequence.
      signal: (T,), the input, in the dtype of the states.
      max_delay: D, the longest delay.
      warmup: the number of first steps to leave out.
      penalty: of the readouts, as in `jaxrnn.training.ridge_readout`.

    Returns:
      `MemoryCapacity`, in at least float32.

    Raises:
      ValueError, TypeError: `states` are not floating (T, H), `signal` is not (T,) in their dtype,
        or T is too short for `warmup` and `max_delay`.

    References: Jaeger, 2001, "Short term memory in echo state networks".

    Examples:
      >>> signal = jnp.float32(np.random.default_rng(0).uniform(-1, 1, 1000))  # (T,)
      >>> states = jnp.stack([jnp.roll(signal, k) for k in (1, 2, 3)], axis=-1)  # a delay line
      >>> found = jaxrnn.diagnostics.memory_capacity(states, signal, max_delay=5, warmup=3)
      >>> [round(float(share)) for share in found.by_delay], round(float(found.total))
      ([1, 1, 1, 0, 0], 3)
    """
    check_states("states", states, None)
    check_array("signal", signal)
    check_size("max_delay", max_delay)
    check_count("warmup", warmup)
    if states.ndim != 2 or signal.shape != states.shape[:1] or signal.dtype != states.dtype:
        raise ValueError(
            "`states` must be (T, H) and `signal` (T,), of one sequence and one dtype, got "
            f"{describe(states)} and {describe(signal)}."
        )
    first, num_steps = max(warmup, max_delay), states.shape[0]
    if num_steps - first < 4:
        raise ValueError(
            f"`states` has {num_steps} steps, too few for `warmup` = {warmup} and `max_delay` = "
            f"{max_delay}."
        )
    delays = jnp.arange(1, max_delay + 1)
    delayed = signal[jnp.arange(first, num_steps)[:, None] - delays]  # (T', D)
    states = states[first:]
    half = len(states) // 2
    kernel, bias = ridge_readout(states[:half], delayed[:half], penalty=penalty)
    wide = sum_dtype(states.dtype)
    guesses = (states[half:] @ kernel + bias).astype(wide)
    by_delay = _squared_correlation(guesses, delayed[half:].astype(wide))
    return MemoryCapacity(by_delay.sum(), by_delay)


def _squared_correlation(a, b):
    a, b = a - a.mean(axis=0, keepdims=True), b - b.mean(axis=0, keepdims=True)
    both = (a * a).sum(axis=0) * (b * b).sum(axis=0)
    return (a * b).sum(axis=0) ** 2 / jnp.where(both > 0, both, jnp.ones_like(both))
