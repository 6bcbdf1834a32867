"""How often gates are nearly closed or nearly open."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.flags import check_flags
from jaxrnn._core.types import Carry, Cell, Layer, Params
from jaxrnn.diagnostics._activations import activations
from jaxrnn.diagnostics._states import check_share
from jaxrnn.diagnostics._step_map import begin, carries_before, step_map
from jaxrnn.diagnostics._vectors import to_vector


class Saturation(NamedTuple):
    """The shares of steps at which each unit of a gate is near one of its ends."""

    low: jax.Array  # (H,)
    high: jax.Array  # (H,)


def gate_saturation(
    model: Cell | Layer,
    params: Params,
    carry: Carry | None,
    xs: Any,
    *,
    mask: jax.Array | None = None,
    margin: float = 0.1,
) -> dict[str, Saturation]:
    """How often each gate of a cell is saturated, so that hardly any gradient passes through it.

    The gates are found in the program of one step: every sigmoid and tanh that it computes. An LSTM
    has ``sigmoid[0]``, ``sigmoid[1]``, ``tanh[2]`` and ``sigmoid[3]``, which are i, f, g and o in
    the order of its kernel, and ``tanh``, of its memory cell. More of one name get a number, as in
    ``tanh#2``.

        found = gate_saturation(jaxrnn.lstm(64), params, None, xs)
        found["sigmoid[1]"].high  # (64,): how often each unit keeps all of its memory

    Args:
      model: a cell. In a layer, gates inside a loop or a kernel are not seen.
      params: from its `init`.
      carry: the carry before the first step; None means the initial carry.
      xs: inputs (T, I) of one sequence. For a batch, use `jax.vmap`.
      mask: bool (T,), True = a step to count. The network runs on all steps.
      margin: how near an end is near, as a share of the range, above 0 and up to 0.5.

    Returns:
      A dict of `Saturation` by name, in the order in which the step computes them; empty if it has
      no sigmoid and no tanh.

    Raises:
      ValueError, TypeError: as `jacobians`, `mask` is not bool (T,), or `margin` is not in
        (0, 0.5].

    References: Karpathy, Johnson and Li, 2016, "Visualizing and understanding recurrent networks".

    Examples:
      >>> kernel = jnp.array([0.0, 100.0, 1.0, 1.0]) * jnp.ones((2, 1))  # H = 1, gates i f g o
      >>> params = jaxrnn.cells.LSTMParams(kernel, jnp.ones((1, 4)), None)
      >>> cell, xs = jaxrnn.lstm(1, use_bias=False), jnp.ones((20, 2))  # (T, I)
      >>> found = jaxrnn.diagnostics.gate_saturation(cell, params, None, xs)
      >>> found["sigmoid[0]"].high.tolist(), found["sigmoid[1]"].high.tolist()
      ([0.0], [1.0])
    """
    check_share("margin", margin, 0.5)
    run = begin("gate_saturation", model, params, carry, xs)
    check_flags("mask", mask, run.xs)

    names = []

    def gates(carry, x):
        found = activations(step_map(run, carry, x), to_vector(carry))
        names[:] = [name for name, _ in found]
        return [value for _, value in found]

    found = jax.vmap(gates)(carries_before(run), run.xs)

    def shares(name, values):
        bottom = -1 if name.startswith("tanh") else 0
        edge = margin * (1 - bottom)

        def mean(flags):
            if mask is None:
                return flags.mean(axis=0, dtype=jnp.float32)
            where = jnp.reshape(mask, (-1, *(1,) * (flags.ndim - 1)))
            return flags.mean(axis=0, dtype=jnp.float32, where=where)

        return Saturation(mean(values < bottom + edge), mean(values > 1 - edge))

    return {name: shares(name, values) for name, values in zip(names, found, strict=True)}
