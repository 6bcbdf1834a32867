"""Who is timed: for a workload, a name and a pair of compiled functions without arguments."""

import functools
import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

import jaxrnn
from benchmarks.workloads import Workload


class Contestant(NamedTuple):
    """Two compiled functions without arguments, ready to be timed."""

    forward: Callable[[], jax.Array]  # the outputs
    train: Callable[[], tuple]  # a scalar loss and its gradient for the parameters


def contestants(workload: Workload) -> dict[str, Contestant]:
    """All that can run `workload` here; a peer that is not installed is left out."""
    found = {f"jaxrnn {name}": ours(workload, implementation=name) for name in ("xla", "scan")}
    if importlib.util.find_spec("flax"):
        found["flax nn.RNN"] = flax(workload)
    return found


def missing() -> list[str]:
    """The peers that are not installed."""
    return [peer for peer in ("flax",) if not importlib.util.find_spec(peer)]


def ours(workload: Workload, *, implementation: str) -> Contestant:
    cell, xs = getattr(jaxrnn, workload.cell)(workload.size), workload.inputs()
    params = cell.init(jax.random.key(1), xs[0])

    def forward(params, xs):
        return jaxrnn.unroll(cell, params, None, xs, implementation=implementation)[1]

    return _contestant(forward, params, xs)


def flax(workload: Workload) -> Contestant:
    from flax import linen as nn

    cells = {"lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell, "elman": nn.SimpleCell}
    model, xs = nn.RNN(cells[workload.cell](workload.size), time_major=True), workload.inputs()
    return _contestant(model.apply, model.init(jax.random.key(1), xs), xs)


def _contestant(forward, params, xs):
    def loss(params, xs):
        return jnp.sum(forward(params, xs) ** 2)

    return Contestant(
        functools.partial(jax.jit(forward), params, xs),
        functools.partial(jax.jit(jax.value_and_grad(loss)), params, xs),
    )
