"""What `benchmarks.accelerator` times, the most telling first, and who takes part."""

import functools
import importlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import jaxrnn
from benchmarks import contestants
from benchmarks.device_time import Repeated, repeated
from benchmarks.peers import lax
from benchmarks.programs import function_of
from benchmarks.workloads import DTYPES, Workload
from jaxrnn.engines._unroll import NAMES as ENGINES
from jaxrnn.engines.linear._linear_scan import NAMES as LINEAR_WAYS

PASSES = "forward", "train"
PEERS = "torch", "linen"
MOST_NEWTON = 4096  # numbers in the carries of a batch: Newton's method is for small cells

Maker = Callable[[], Callable[[], Repeated]]  # traces a program, then compiles it


class Case(NamedTuple):
    """One workload and pass."""

    workload: str
    kind: str  # the pass
    sizes: dict[str, Any]  # fields of its records
    steps: int  # one after the other
    contestants: dict[str, Maker]
    flops: int | None = None  # of the products that it cannot avoid
    moved_bytes: int | None = None  # between memory and the device, that it cannot avoid


class Sizes(NamedTuple):
    """The sizes of all cases."""

    large: Sequence[tuple[int, int, int]]  # B, T, H
    small: Sequence[tuple[int, int, int]]
    linear: Sequence[tuple[int, int, int]]  # T, B, D
    head: int  # units of one head
    square: int  # rows of the product and of the copy that tell what the device can do


FULL = Sizes(
    large=((16, 1024, 768), (64, 512, 256), (256, 128, 1024)),
    small=((1, 512, 128), (32, 128, 128)),
    linear=((4096, 8, 1536), (65536, 1, 64)),
    head=64,
    square=8192,
)
TINY = Sizes(large=((2, 6, 8),), small=((1, 4, 4),), linear=((16, 2, 8),), head=4, square=128)


def cases(sizes: Sizes, dtypes: Sequence[str], peers: Sequence[str]) -> Iterator[Case]:
    """All cases, in the order in which they are measured until the time is over."""
    yield nothing()
    for dtype in dtypes:
        yield product(sizes.square, dtype)
    yield copy(sizes.square)
    for shape, cell in itertools.product(sizes.large, ("lstm", "heads", "gru")):
        yield from recurrent(cell, shape, sizes, dtypes, peers)
    for shape, dtype, kind in itertools.product(sizes.linear, dtypes, PASSES):
        yield linear(shape, dtype, kind)
    for shape, cell in itertools.product(sizes.small, ("lstm", "heads", "gru")):
        yield from recurrent(cell, shape, sizes, dtypes, peers)


# --- What the device can do ---


def nothing() -> Case:
    """What it takes to enqueue a call: no figure below it says anything."""
    maker = functools.partial(repeated, jnp.negative, (jnp.float32(1),))
    return Case("nothing", "forward", {"dtype": "float32"}, 1, {"jax": maker})


def product(size: int, dtype: str) -> Case:
    """A large square product."""
    a = jax.random.normal(jax.random.key(0), (size, size), jnp.dtype(dtype))
    maker = functools.partial(repeated, jnp.matmul, (a, a))
    name = f"product_{size}{_suffix(dtype)}"
    return Case(name, "forward", {"dtype": dtype}, 1, {"jax": maker}, flops=2 * size**3)


def copy(size: int) -> Case:
    """One array read, one written."""
    a = jax.random.normal(jax.random.key(0), (size, size), jnp.float32)
    maker = functools.partial(repeated, jnp.negative, (a,))
    sizes = {"dtype": "float32"}
    return Case(f"copy_{size}", "forward", sizes, 1, {"jax": maker}, moved_bytes=2 * a.nbytes)


# --- Cells ---


def recurrent(
    kind_of_cell: str,
    shape: tuple[int, int, int],
    sizes: Sizes,
    dtypes: Sequence[str],
    peers: Sequence[str],
) -> Iterator[Case]:
    """A layer of as many inputs as units: an LSTM, a GRU, or an LSTM of several heads."""
    batch, steps, hidden = shape
    for dtype, kind in itertools.product(dtypes, PASSES):
        if kind_of_cell == "heads":
            yield _heads(Workload("lstm", batch, steps, hidden, sizes.head, dtype), kind)
        else:
            yield _whole(Workload(kind_of_cell, batch, steps, hidden, hidden, dtype), kind, peers)


def _whole(workload, kind, peers):
    cell = getattr(jaxrnn, workload.cell)(workload.hidden)
    others = {peer: functools.partial(_peer, peer, workload, kind) for peer in peers}
    makers = _ours(workload, cell, kind) | others
    flops, given = workload.flops(kind), workload._asdict()
    return Case(workload.name, kind, given, workload.steps, makers, flops)


def _heads(workload, kind):
    """`workload` is one head; it has the inputs of all."""
    count = workload.inputs // workload.hidden
    cell = jaxrnn.heads(jaxrnn.lstm(workload.hidden), count)
    given = workload._asdict() | {"cell": "heads", "hidden": workload.inputs, "heads": count}
    size = f"{count}x{workload.hidden}{_suffix(workload.dtype)}"
    name = f"heads_{workload.batch}_{workload.steps}_{size}"
    flops = count * workload.flops(kind)
    return Case(name, kind, given, workload.steps, _ours(workload, cell, kind), flops)


def _ours(workload, cell, kind):
    """A program for each engine in the table; one that cannot run the cell says so when asked."""
    return {
        f"jaxrnn {name}": functools.partial(_engine, name, workload, cell, kind) for name in ENGINES
    }


def _engine(name, workload, cell, kind):
    xs = jax.eval_shape(workload.xs)
    _check_can_run(name, cell, xs)
    numbers = sum(leaf.size for leaf in jax.tree.leaves(_carry(cell, workload, xs)))
    if name == "newton" and numbers > MOST_NEWTON:
        raise ValueError(f"it is for small cells, and is not timed above {MOST_NEWTON} numbers")
    model = contestants.model(workload, cell, name)
    return repeated(function_of(model, kind), (model.params, model.xs))


def _check_can_run(name, cell, xs):
    try:
        jaxrnn.explain(cell, xs, implementation=name)
    except ValueError as error:
        reason = str(error).split("cannot run this cell: ")[-1]
        raise ValueError(reason.split(". With None, ")[0]) from error


def _carry(cell, workload, xs):
    def carry(x):
        return cell.init_carry(workload.params(cell), x)

    return jax.eval_shape(carry, jax.ShapeDtypeStruct(xs.shape[1:], xs.dtype))


def _peer(peer, workload, kind):
    module = importlib.import_module(f"benchmarks.peers.{peer}")
    if hasattr(module, "repeated"):
        program = Repeated(module.repeated(workload, kind))
        return lambda: program
    model = module.model(workload)
    return repeated(function_of(model, kind), (model.params, model.xs))


# --- Linear recurrences ---


def linear(shape: tuple[int, int, int], dtype: str, kind: str) -> Case:
    """`jaxrnn.linear_scan` by each of its ways, and as JAX alone has it."""
    keys = jax.random.split(jax.random.key(0), 3)
    a, b, seed = (jax.random.normal(key, shape, jnp.dtype(dtype)) for key in keys)
    a = jax.nn.sigmoid(a)
    ours = {f"jaxrnn {way}": _linear_scan(way) for way in LINEAR_WAYS}
    makers = {
        name: functools.partial(_linear_program, run, kind, a, b, seed)
        for name, run in (ours | {way: lax.recurrence(way) for way in lax.WAYS}).items()
    }
    name = f"linear_scan_{'_'.join(map(str, shape))}{_suffix(dtype)}"
    steps, batch, width = shape
    given = {"cell": "linear_scan", "batch": batch, "steps": steps, "hidden": width, "dtype": dtype}
    # Forward reads a and b and writes h; the gradient reads a, h and its own, and writes two.
    arrays = 3 if kind == "forward" else 8
    return Case(name, kind, given, steps, makers, moved_bytes=arrays * a.nbytes)


def _linear_scan(way):
    return functools.partial(jaxrnn.linear_scan, implementation=way)


def _linear_program(run, kind, a, b, seed):
    def train(a, b, seed):
        hs, pull = jax.vjp(run, a, b)
        return hs, pull(seed)

    if kind == "forward":
        return repeated(run, (a, b))
    return repeated(train, (a, b, seed))


def _suffix(dtype):
    return "" if dtype == DTYPES[0] else f"_{dtype}"
