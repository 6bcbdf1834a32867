"""Writes docs/cells.md: every cell, from its docstring, its programs, and times measured before.

python -m benchmarks.cells              writes the page
python -m benchmarks.cells --measure    measures all cells first, which takes about ten minutes
"""

import functools
import inspect
import json
import pathlib
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp

import jaxrnn
from benchmarks import machine, pages
from benchmarks.programs import Program
from benchmarks.timing import interleave, spread

ROOT = pathlib.Path(__file__).parent.parent
PAGE, TIMES = ROOT / "docs" / "cells.md", ROOT / "benchmarks" / "results" / "cells.json"
T, B, I, H = 64, 32, 64, 64  # steps, sequences, features, units
PICTURE = (8, 8, 8)  # height, width, channels, which are the units of a convolutional cell
ARGUMENTS = {  # beside the number of units
    "projected_lstm": "32",
    "scrn": "16",
    "conv_lstm": "(3, 3)",
    "conv_gru": "(3, 3)",
    "retention": "4",
    "gated_linear_attention": "4",
    "delta_net": "4",
    "mlstm": "4",
}
STATES = {"s4d": 16, "mamba": 16}  # which each feature has, in place of units
FAMILIES = {
    "gated": "Gated cells, and the plain one",
    "continuous": "Cells from differential equations, and reservoirs",
    "linear": "Linear cells, parallel over time",
    "conv": "Convolutional cells",
}
INTRO = f"""# The cells

Every cell has the same interface: it trains, streams, batches and takes masks and resets, by every
engine that can run it. [Add a cell](add_a_cell.md) shows how to write one.

*Products* is the number of matrix products, or convolutions, in one step of the loop over time,
which is most of its cost. *Parameters*, and the times of one step, are for {I} features and {H}
units; times for batches of {B} sequences of {T} steps in float32, by the engine that
`implementation=None` takes. *Train* is forward and backward. Pictures are {PICTURE[0]}x{PICTURE[1]}
with {PICTURE[2]} channels.
"""


class Entry(NamedTuple):
    """What the page says of a cell."""

    name: str
    family: str
    call: str
    cell: jaxrnn.Cell
    title: str
    equations: str
    notes: list[str]
    references: str


def entries() -> list[Entry]:
    """All cells, by family and name."""
    found = []
    for name in jaxrnn.cells.__all__:
        build = getattr(jaxrnn.cells, name)
        if isinstance(build, type):
            continue
        family = inspect.unwrap(build).__module__.split(".")[2]
        units = PICTURE[-1] if family == "conv" else STATES.get(name, H)
        call = f"{name}({units}{f', {ARGUMENTS[name]}' if name in ARGUMENTS else ''})"
        cell = eval(call, {name: build})  # the call is what the page shows
        found.append(Entry(name, family, call, cell, *described(build)))
    return sorted(found, key=lambda entry: (list(FAMILIES).index(entry.family), entry.name))


def described(build) -> tuple[str, str, list[str], str]:
    """The title, the equations, the paragraphs after them, and the references of a docstring."""
    text = inspect.getdoc(build)
    before, _, after = text.partition("\nArgs:")
    title, *paragraphs = re.split(r"\n\n(?! )", before.strip())
    head, _, equations = title.partition("\n\n")
    if not equations:
        raise ValueError(f"the docstring of `{build.__name__}` begins without equations")
    references = after.partition("References: ")[2].partition("\n\nExamples:")[0]
    return head, equations, [one_line(p) for p in paragraphs], one_line(references)


def one_line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def example(entry: Entry, lead: tuple[int, ...]) -> jax.ShapeDtypeStruct | jaxrnn.Timed:
    """Inputs (*lead, I), with time gaps where the cell reads them, or pictures."""
    features = PICTURE if entry.family == "conv" else (I,)
    x = jax.ShapeDtypeStruct((*lead, *features), jnp.float32)
    if not entry.cell.reads_time:
        return x
    return jaxrnn.Timed(x, jax.ShapeDtypeStruct(lead, jnp.float32))


def products(entry: Entry) -> int:
    """The number of products in `recur` and `update`."""
    cell, x = entry.cell, example(entry, (B,))

    def step(key, x):
        params = cell.init(key, x)
        ready = cell.prepare(params, None)
        return ready, cell.init_carry(params, x), cell.project(ready, x)

    params, carry, u = jax.eval_shape(step, jax.random.key(0), x)

    def advance(params, carry, u):
        return cell.update(params, carry, u, cell.recur(params, carry))

    return count(jax.make_jaxpr(advance)(params, carry, u).jaxpr)


def count(jaxpr) -> int:
    """The products and convolutions in a jaxpr."""
    total = 0
    for eqn in jaxpr.eqns:
        total += eqn.primitive.name in ("dot_general", "conv_general_dilated")
        for value in eqn.params.values():
            inner = getattr(value, "jaxpr", value)
            total += count(inner) if hasattr(inner, "eqns") else 0
    return total


def engines(entry: Entry) -> str:
    """The engines that run a cell, the one that is taken first."""
    explain = functools.partial(jaxrnn.explain, entry.cell, example(entry, (T, B)))
    chosen, able = explain().implementation, []
    for name in ("native", "associative", "xla", "scan"):
        try:
            able.append(explain(implementation=name).implementation)
        except ValueError:
            continue
    return ", ".join(sorted(able, key=lambda name: name != chosen))


def size(entry: Entry) -> int:
    params = jax.eval_shape(entry.cell.init, jax.random.key(0), example(entry, (B,)))
    return sum(leaf.size for leaf in jax.tree.leaves(params))


# --- Times ---


def programs(entry: Entry) -> dict[str, Program]:
    """Forward, and forward and backward, compiled; each counts as T calls."""

    def draw(like):
        return jnp.abs(jax.random.normal(jax.random.key(0), like.shape))

    xs = jax.tree.map(draw, example(entry, (T, B)))
    params = entry.cell.init(jax.random.key(1), example(entry, (B,)))
    forward = jax.jit(lambda params, xs: jaxrnn.unroll(entry.cell, params, None, xs)[1])
    train = jax.jit(jax.grad(lambda params, xs: jnp.sum(forward(params, xs) ** 2), argnums=(0, 1)))
    return {
        f"{entry.name} {kind}": Program(lambda run=run: jax.block_until_ready(run(params, xs)), T)
        for kind, run in (("forward", forward), ("train", train))
    }


def measure(rounds: int = 15) -> None:
    """Measures all cells in turn, and writes the medians in microseconds a step."""
    runs = {name: run for entry in entries() for name, run in programs(entry).items()}
    seconds = interleave(runs, rounds)
    medians = {name: round(1e6 * spread(figures).median, 2) for name, figures in seconds.items()}
    TIMES.write_text(json.dumps({"machine": machine.describe(), "times": medians}, indent=1) + "\n")


# --- The page ---


def page() -> str:
    """The text of docs/cells.md."""
    record = json.loads(TIMES.read_text())
    about, times = record["machine"], record["times"]
    parts = [INTRO, f"Measured on {about['device']}, jax {about['jax']}.\n"]
    for family, heading in FAMILIES.items():
        own = [entry for entry in entries() if entry.family == family]
        parts += [f"## {heading}\n", table(own, times), *map(section, own)]
    return "\n".join(parts)


def table(own: list[Entry], times: dict[str, float]) -> str:
    rows = ["| cell | parameters | products | engines | forward (µs) | train (µs) |"]
    rows.append("|---|--:|--:|---|--:|--:|")
    for entry in own:
        measured = [times.get(f"{entry.name} {kind}", "") for kind in ("forward", "train")]
        cells = (
            f"[`{entry.name}`](#{entry.name})",
            f"{size(entry):,}",
            products(entry),
            engines(entry),
            *measured,
        )
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows) + "\n"


def section(entry: Entry) -> str:
    notes = "".join(f"\n{note}\n" for note in entry.notes)
    return (
        f"### {entry.name}\n\n{entry.title}\n\n```text\n{inspect.cleandoc(entry.equations)}\n```\n"
        f"{notes}\n*{entry.call}.* {entry.references}\n"
    )


def main(arguments: list[str] | None = None) -> None:
    pages.write(PAGE, page, measure, __doc__, arguments)


if __name__ == "__main__":
    main()
