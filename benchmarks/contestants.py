"""Who is timed: jaxrnn by each of its implementations, and the peers that are installed."""

import importlib
import importlib.util
from collections.abc import Callable, Sequence

import jaxrnn
from benchmarks.programs import Model, Program, on_jax
from benchmarks.workloads import Workload
from jaxrnn import _implementations

OURS = "jaxrnn"  # as it comes: implementation=None
PEERS = {  # and what to install for each
    "linen": "flax",
    "nnx": "flax",
    "haiku": "dm-haiku",
    "equinox": "equinox",
    "keras": "keras",
    "torch": "torch",
}
_MODULES = {"dm-haiku": "haiku"}  # where the package has another name

IMPLEMENTATIONS = _implementations.NAMES

Contestant = Callable[[Workload, str], Program]


def ours(names: Sequence[str]) -> dict[str, Contestant]:
    """jaxrnn as it comes, and by the implementations of these names."""
    return {OURS: _ours(None)} | {f"{OURS} {name}": _ours(name) for name in names}


def theirs(peers: Sequence[str]) -> dict[str, Contestant]:
    """Those of `peers` that are installed."""
    return {peer: _theirs(peer) for peer in peers if peer not in missing(peers)}


def missing(peers: Sequence[str]) -> dict[str, str]:
    """Those of `peers` that are not installed, and the package that brings each."""
    packages = {peer: PEERS[peer] for peer in peers}
    return {
        peer: package
        for peer, package in packages.items()
        if importlib.util.find_spec(_MODULES.get(package, package)) is None
    }


def _theirs(peer):
    def program_of(workload, kind):
        module = importlib.import_module(f"benchmarks.peers.{peer}")
        make = module.program if hasattr(module, "program") else on_jax(module.model)
        return make(workload, kind)

    return program_of


def _ours(implementation):
    def model_of(workload):
        cell = getattr(jaxrnn, workload.cell)(workload.hidden)
        return model(workload, cell, implementation)

    return on_jax(model_of)


def model(workload: Workload, cell: jaxrnn.Cell, implementation: str | None) -> Model:
    """jaxrnn with this cell; one step is a sequence of that length."""
    params, xs = workload.params(cell), workload.xs()

    def apply(params, xs):
        return jaxrnn.unroll(cell, params, None, xs, implementation=implementation)[1]

    def step(params, carry, x):
        carry, ys = jaxrnn.unroll(cell, params, carry, x[None], implementation=implementation)
        return carry, ys[0]

    return Model(params, xs, apply, cell.init_carry(params, xs[0]), step)
