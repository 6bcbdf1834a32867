"""Who is timed: jaxrnn with each of its engines, and the peers that are installed."""

import importlib
import importlib.util
from collections.abc import Callable, Sequence

import jaxrnn
from benchmarks.programs import Model, Program, on_jax
from benchmarks.workloads import Workload
from jaxrnn.engines._unroll import NAMES

OURS = "jaxrnn"  # with its default, implementation=None
PEERS = {  # and the package to install for each
    "linen": "flax",
    "nnx": "flax",
    "haiku": "dm-haiku",
    "equinox": "equinox",
    "keras": "keras",
    "torch": "torch",
}
_MODULES = {"dm-haiku": "haiku"}  # packages whose module has another name

# The other engines are for linear cells, and no workload has one.
IMPLEMENTATIONS = tuple(name for name in NAMES if name in ("native", "xla", "scan"))

Contestant = Callable[[Workload, str], Program]


def ours(names: Sequence[str]) -> dict[str, Contestant]:
    """jaxrnn with its default, and with each of the engines in `names`."""
    return {OURS: _ours(None)} | {f"{OURS} {name}": _ours(name) for name in names}


def theirs(peers: Sequence[str]) -> dict[str, Contestant]:
    """The `peers` that are installed."""
    return {peer: _theirs(peer) for peer in peers if peer not in missing(peers)}


def missing(peers: Sequence[str]) -> dict[str, str]:
    """The `peers` that are not installed, each with the package that provides it."""
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
    """jaxrnn with this cell; one step is a sequence of length 1."""
    params, xs = workload.params(cell), workload.xs()

    def apply(params, xs):
        return jaxrnn.unroll(cell, params, None, xs, implementation=implementation)[1]

    def step(params, carry, x):
        carry, ys = jaxrnn.unroll(cell, params, carry, x[None], implementation=implementation)
        return carry, ys[0]

    return Model(params, xs, apply, cell.init_carry(params, xs[0]), step)
