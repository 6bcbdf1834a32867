"""Writes the table and the picture of docs/parallel.md: time against the number of steps.

python -m benchmarks.over_time              writes both from the record
python -m benchmarks.over_time --measure    times all ways first, which takes about ten minutes
"""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import jaxrnn
from benchmarks import machine
from benchmarks.pages import Page
from benchmarks.peers import lax
from benchmarks.programs import Program
from benchmarks.timing import interleave

ROOT = pathlib.Path(__file__).parent.parent
PAGE, PICTURE = ROOT / "docs" / "parallel.md", ROOT / "docs" / "pictures" / "over_time.png"
RECORD = ROOT / "benchmarks" / "results" / "over_time.json"
ROUNDS = 9
STEPS = 64, 256, 1024, 4096, 16384, 65536
NONLINEAR_STEPS = 64, 256, 1024, 4096
# Time, batch, units, and dtype of the recurrences in the table.
SHAPES = {
    "4,096 x 8 x 512": ((4096, 8, 512), "float32"),
    "65,536 x 1 x 64": ((65536, 1, 64), "float32"),
    "4,096 x 8 x 256, complex": ((4096, 8, 256), "complex64"),
    "65,536 x 1 x 64, complex": ((65536, 1, 64), "complex64"),
}
JAX = lax.WAYS
OURS = "scan", "chunked", "associative", "native"
COLORS = {"native": "C0", "scan": "0.3", "chunked": "C2", "associative": "C1"}
COLORS |= {"newton, full": "C3", "newton, diagonal": "C4"}


# --- Programs ---


def recurrence(way: str) -> Callable:
    """``(a, b) -> hs`` by one of the ways."""
    if way in JAX:
        return lax.recurrence(way)
    return functools.partial(jaxrnn.linear_scan, implementation=way)


def linear_programs(ways: tuple[str, ...], shape: tuple, dtype: str) -> dict[Any, Program]:
    """Forward, and forward with the gradients of a and b, for each way; and a copy of one array."""
    rng = np.random.default_rng(0)
    turn = np.exp(0.3j) if dtype.startswith("complex") else 1
    a = jnp.asarray((rng.uniform(0.05, 0.95, shape) * turn).astype(dtype))
    b, seed = (jnp.asarray(rng.standard_normal(shape).astype(dtype)) for _ in range(2))
    programs = {}
    for way in ways:
        run = recurrence(way)

        def backward(a, b, seed, run=run):
            hs, pull = jax.vjp(run, a, b)
            return hs, pull(seed)

        programs[way, "forward"] = called(run, a, b)
        programs[way, "train"] = called(backward, a, b, seed)
    given, copy = np.asarray(a), np.empty(shape, dtype)
    programs["copy", "forward"] = Program(lambda: np.copyto(copy, given))
    return programs


def nonlinear_programs(num_steps: int) -> dict[Any, Program]:
    """A GRU of 16 units over one sequence, forward: step by step, and by Newton's method."""
    cell = jaxrnn.gru(16)
    xs = jax.random.normal(jax.random.key(0), (num_steps, 1, 16))
    params = cell.init(jax.random.key(1), xs[0])
    ways = {f"newton, {kind}": jaxrnn.Newton(jacobian=kind) for kind in ("full", "diagonal")}
    ways = {"scan": "scan", "native": "native"} | ways
    return {
        name: called(
            lambda params, xs, way=way: jaxrnn.unroll(cell, params, None, xs, implementation=way),
            params,
            xs,
        )
        for name, way in ways.items()
    }


def called(function: Callable, *args: Any) -> Program:
    """The compiled function, with these arguments."""
    compiled = jax.jit(function).lower(*args).compile()
    return Program(lambda: jax.block_until_ready(compiled(*args)))


# --- The record ---


def measure() -> dict[str, Any]:
    """Times everything, in milliseconds."""
    record = {"machine": machine.describe(), "rounds": ROUNDS, "shapes": {}, "linear": {}}
    for name, (shape, dtype) in SHAPES.items():
        record["shapes"][name] = milliseconds(linear_programs((*OURS, *JAX), shape, dtype))
        print(name, record["shapes"][name], flush=True)
    for num_steps in STEPS:
        programs = linear_programs(OURS, (num_steps, 1, 64), "float32")
        record["linear"][num_steps] = milliseconds(programs)
    record["nonlinear"] = {n: milliseconds(nonlinear_programs(n)) for n in NONLINEAR_STEPS}
    return record


def milliseconds(programs: dict[Any, Program]) -> dict[str, float]:
    """The median time of each program."""
    found = interleave(programs, ROUNDS)
    names = {key: key if isinstance(key, str) else " ".join(key) for key in programs}
    return {names[key]: round(1000 * float(np.median(s)), 3) for key, s in found.items()}


# --- The page ---


def table(record: dict[str, Any]) -> str:
    """Forward and gradient of three recurrences, by each way."""
    about = record["machine"]
    head = "".join(f" | {name} | gradient" for name in SHAPES)
    rows = [f"| milliseconds, T x B x D{head} |", "|---" + "|--:" * 2 * len(SHAPES) + "|"]
    for way in (*OURS, *JAX):
        own = [record["shapes"][name] for name in SHAPES]
        figures = [f"{o[f'{way} {kind}']:.3g}" for o in own for kind in ("forward", "train")]
        label = f"`{way}`" if way in JAX else f'`"{way}"`'
        rows.append(f"| {label} | {' | '.join(figures)} |")
    copies = [f"{record['shapes'][name]['copy forward']:.3g} | " for name in SHAPES]
    rows.append(f"| a copy of one array | {' | '.join(copies)}|")
    told = (
        f"Measured on {about['device']}, jax {about['jax']}: medians of {record['rounds']} rounds."
    )
    return "\n".join([f"{told}\n", *rows, ""])


def draw(record: dict[str, Any]) -> Figure:
    """Time over the number of steps: a linear recurrence with its gradient, and a GRU."""
    figure = Figure(figsize=(11, 4.2), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2)
    plot(left, {way: series(record["linear"], f"{way} train") for way in OURS})
    left.set_title("Linear recurrence, 64 units: forward and gradient")
    ways = list(next(iter(record["nonlinear"].values())))
    plot(right, {way: series(record["nonlinear"], way) for way in ways})
    right.set_title("GRU, 16 units: forward")
    return figure


def series(found: dict[str, dict[str, float]], name: str) -> tuple[list[int], list[float]]:
    """The steps, and the time of one program."""
    return [int(n) for n in found], [times[name] for times in found.values()]


def plot(axes: Any, lines: dict[str, tuple[list[int], list[float]]]) -> None:
    """A line for each way, with its name at the end."""
    axes.set(xscale="log", yscale="log", xlabel="steps T", ylabel="milliseconds")
    for name, (steps, times) in lines.items():
        axes.plot(steps, times, "o-", ms=4, color=COLORS[name], label=name)
    axes.set_xticks(steps, [f"{n:,}" for n in steps])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:g}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def main(arguments: list[str] | None = None) -> None:
    Page(PAGE, PICTURE, RECORD, measure, table, draw).main(__doc__, arguments)


if __name__ == "__main__":
    main()
