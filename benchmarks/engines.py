"""Writes docs/engines.md: a training step of every cell by each engine that runs it on a CPU.

python -m benchmarks.engines              writes the page from the record
python -m benchmarks.engines --measure    times all cells first, which takes about ten minutes
"""

import json
import pathlib
import statistics

import jax
import jax.numpy as jnp
import numpy as np

import jaxrnn
from benchmarks import beside, machine, pages
from benchmarks.cells import FAMILIES, Entry, entries, example
from benchmarks.programs import Program, compiled_step
from benchmarks.timing import interleave

ROOT = pathlib.Path(__file__).parent.parent
PAGE, RECORD = ROOT / "docs" / "engines.md", ROOT / "benchmarks" / "results" / "engines.json"
T, B, ROUNDS = 200, 16, 9
ENGINES = "native", "xla", "scan"
FLAX = {
    "elman": "SimpleCell",
    "lstm": "OptimizedLSTMCell",
    "gru": "GRUCell",
    "mgu": "MGUCell",
}
WRITTEN = "lstm", "gru", "elman"  # for which kernels are written by hand
INTRO = f"""# Every cell by each engine

The milliseconds of a training step on a CPU: forward, and the gradients of all parameters and of
the inputs, for batches of {B} sequences of {T} steps with 64 features and 64 units, in float32, or
pictures of 8x8 with 8 channels. Medians of {ROUNDS} interleaved rounds in one process; ratios are
medians over the rounds. `python -m benchmarks.engines --measure` measures again.

Three cells have kernels written for them. Every other cell of the *native* column runs by a
*program*: its own `recur` and `update`, and their derivative, become a list of operations on rows,
which a kernel runs with the products, the threads and the masks of the others. Operations that
belong together are one, such as a mix (1 - z) h + z n, the slope of a gate, or a normalization and
its derivative, and the forward pass keeps what costs least to keep or to compute again.
`jaxrnn.explain(cell, xs, implementation="native", verbose=True)` shows it. A cell of your own gets
one too, with nothing to declare and no compiler: *compile* is the CPU time that it takes to trace
and compile the step.

The projection of the inputs and the output are part of the program too, as far as it covers them:
no array over all steps is made in between. Products of the inputs are made for as many steps at a
time as a cache holds; or for all steps at once, if there are few rows or the matrices are large.

A program covers operations on each number, sums and extremes over features, slices and joins, and
products with parameters, in float32 and float64. It does not cover convolutions, complex and
integer states, products of two parts of the state, and parameters with batch axes. `explain` says
what is missing, and such a cell runs by another engine. By default, linear cells with small states
do too: they run parallel over time.
"""


def runs(entry: Entry) -> dict[str, Program]:
    """The compiled training step by each engine that can run the cell, and by Flax."""
    xs = jax.tree.map(lambda like: jnp.abs(draw(like)), example(entry, (T, B)))
    params = entry.cell.init(jax.random.key(1), example(entry, (B,)))
    found = {}
    for engine in ENGINES:

        def forward(params, xs, engine=engine):
            return jaxrnn.unroll(entry.cell, params, None, xs, implementation=engine)[1]

        try:  # not asked before: to find out is part of what is timed
            found[engine] = compiled_step(forward, params, xs)
        except ValueError as refused:
            if "cannot run this cell" not in str(refused):
                raise
    if entry.name in FLAX:
        found["flax"] = by_flax(FLAX[entry.name], xs)
    return found


def draw(like):
    return jax.random.normal(jax.random.key(0), like.shape, like.dtype)


def by_flax(name, xs):
    from flax import linen

    model = linen.RNN(getattr(linen, name)(64), time_major=True)
    params = model.init(jax.random.key(1), xs)
    return compiled_step(model.apply, params, xs)


def measure() -> None:
    """Times every cell, the engines of one interleaved, and writes the record."""
    found = {}
    for entry in entries():
        programs = runs(entry)
        seconds = interleave(programs, ROUNDS)
        first = "native" if "native" in programs else "xla"
        found[entry.name] = {
            name: {
                "milliseconds": round(1e3 * statistics.median(seconds[name]), 3),
                "ratio": round(float(np.median(np.divide(seconds[name], seconds[first]))), 2),
                "compile_seconds": round(program.compile_seconds, 2),
            }
            for name, program in programs.items()
        }
        print(entry.name, found[entry.name], flush=True)
    about = {"machine": machine.describe(), "beside": list(beside.rows()), "cells": found}
    RECORD.write_text(json.dumps(about, indent=1) + "\n")


def page() -> str:
    """The text of docs/engines.md."""
    record = json.loads(RECORD.read_text())
    about, cells = record["machine"], record["cells"]
    parts = [INTRO, f"Measured on {about['device']}, jax {about['jax']}.\n", summary(cells)]
    parts.append(beside.section(record["beside"]))
    for family, heading in FAMILIES.items():
        own = [entry for entry in entries() if entry.family == family and entry.name in cells]
        lines = [
            "| cell | native | compile (s) | xla | scan | Flax | xla/native | scan/native |",
            "|---|--:|--:|--:|--:|--:|--:|--:|",
        ]
        parts += [f"## {heading}\n", "\n".join(lines + [row(e, cells[e.name]) for e in own]) + "\n"]
    return "\n".join(parts)


def row(entry: Entry, found: dict) -> str:
    def of(engine, figure, digits):
        return f"{found[engine][figure]:.{digits}f}" if engine in found else ""

    is_native = "native" in found
    figures = [of("native", "milliseconds", 2), of("native", "compile_seconds", 2)]
    figures += [of(engine, "milliseconds", 2) for engine in ("xla", "scan", "flax")]
    figures += [of(engine, "ratio", 2) if is_native else "" for engine in ("xla", "scan")]
    return f"| [`{entry.name}`](cells.md#{entry.name}) | {' | '.join(figures)} |"


def summary(cells: dict) -> str:
    """The geometric means over the cells that run by a program."""
    by_program = {
        name: found for name, found in cells.items() if "native" in found and name not in WRITTEN
    }

    def mean(engine):
        found = [cell[engine]["ratio"] for cell in by_program.values()]
        return f"{np.exp(np.mean(np.log(found))):.2f} ({min(found):.2f} to {max(found):.2f})"

    return (
        f"Over {len(by_program)} cells that run by a program, native is {mean('scan')} times as "
        f"fast as scan and {mean('xla')} times as fast as xla: geometric means, and the lowest and "
        "highest.\n"
    )


def main(arguments: list[str] | None = None) -> None:
    pages.write(PAGE, page, measure, __doc__, arguments)


if __name__ == "__main__":
    main()
