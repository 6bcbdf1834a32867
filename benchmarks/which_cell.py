"""Writes the table and the picture of docs/which_cell.md: what each cell learns, and how fast.

python -m benchmarks.which_cell              writes both from the record
python -m benchmarks.which_cell --measure    trains all cells first, which takes about half an hour
"""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

import jaxrnn
from benchmarks import cells, learning, machine
from benchmarks.pages import Page
from benchmarks.programs import Program
from benchmarks.timing import interleave

ROOT = pathlib.Path(__file__).parent.parent
PAGE, PICTURE = ROOT / "docs" / "which_cell.md", ROOT / "docs" / "pictures" / "which_cell.png"
RECORD = ROOT / "benchmarks" / "results" / "which_cell.json"
RATES, CHUNK = (0.01, 0.003), 10  # learning rates at the start; steps of training in one call
OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam())
SMALL = {"ltc": jaxrnn.ltc(8)}  # its cost grows with the square of the units of each sequence
TASKS = {"digits": learning.digits, "text": learning.text, "adding": learning.adding}
TITLES = ("Digits by rows: errors (%)", "Text: bits a character", "Adding 2 of 100: squared error")
NAMED = ("elman", "gru", "layer_norm_gru", "lstm", "minimal_rnn", "lem")
NAMED += ("indrnn", "fast_grnn", "cfc")


def contestants() -> dict[str, jaxrnn.Cell]:
    """All cells that are trained and read no pictures, with 64 units."""
    found = {entry.name: entry.cell for entry in cells.entries() if entry.family != "conv"}
    del found["esn"]
    return found | SMALL


# --- Training ---


def measure() -> dict[str, Any]:
    """Trains every cell on every task, then times their steps in turn."""
    learned, programs = {}, {}
    for name, make in TASKS.items():
        task = make(np.random.default_rng(0))
        for cell in contestants():
            learned[name, cell], programs[name, cell] = learn(contestants()[cell], task)
            print(name, cell, learned[name, cell], flush=True)
    for key, seconds in interleave(programs, 3).items():
        learned[key]["seconds"] = round(1000 * min(seconds), 3)
    found = {name: {cell: learned[name, cell] for cell in contestants()} for name in TASKS}
    return {"machine": machine.describe(), "tasks": found}


def learn(cell: jaxrnn.Cell, task: learning.Task) -> tuple[dict[str, float], Program]:
    """The score over the last fifth of the batches, and the compiled steps, to time them.

    Of two learning rates it is the score of the one with the lower loss in the fifth before.
    """
    model, count = task.model(cell), len(task.xs)

    def inputs(xs):
        return jaxrnn.Timed(xs, jnp.ones(xs.shape[:2])) if cell.reads_time else xs

    params = model.init(jax.random.key(0), inputs(task.xs[0]))
    start = params, OPTIMIZER.init(params)
    run = train_program(lambda params, xs: model.apply(params, None, inputs(xs))[1], task)
    decay, tried = np.cos(np.linspace(0, np.pi / 2, count, dtype=np.float32)) ** 2, {}
    for rate in RATES:
        state, told = start, []
        for i in range(0, count, CHUNK):
            state, scores = run(state, *chunk(task, rate * decay, i))
            told.append(np.asarray(scores))
        before, last = np.split(np.concatenate(told), [3 * count // 5, 4 * count // 5])[1:]
        loss = np.nan_to_num(before[:, 0].mean(), nan=np.inf)
        tried[rate] = float(loss), float(f"{last[:, 1].mean():.4g}")
    best, first = min(RATES, key=tried.get), chunk(task, decay, 0)
    timed = Program(lambda: jax.block_until_ready(run(start, *first)), CHUNK)
    return {"score": tried[best][1], "rate": best}, timed


def chunk(task, rates, start):
    return [x[start : start + CHUNK] for x in (task.xs, task.targets, rates)]


def train_program(apply: Callable, task: learning.Task) -> Callable:
    """Compiled steps of Adam: the new state, and the loss and score of each batch before it."""

    def train_step(state, given):
        (params, moments), (xs, targets, rate) = state, given

        def loss(params):
            ys = apply(params, xs)
            cost = task.loss(ys, targets)
            return cost, jnp.stack([cost, task.score(ys, targets)])

        grads, told = jax.grad(loss, has_aux=True)(params)
        updates, moments = OPTIMIZER.update(grads, moments)
        params = jax.tree.map(lambda leaf, update: leaf - rate * update, params, updates)
        return (params, moments), told

    return jax.jit(lambda state, *given: jax.lax.scan(train_step, state, given))


# --- The page ---


def table(record: dict[str, Any]) -> str:
    """The scores of each cell, and the seconds of 1,000 steps."""
    about, found = record["machine"], record["tasks"]
    rows = [f"| cell | {' | '.join(f'{task} | s' for task in TASKS)} |", "|---" + "|--:" * 6 + "|"]
    for name in found["text"]:
        own = [found[task][name] for task in TASKS]
        figures = [f"{f['score']:.3g} | {f['seconds']:.2g}" for f in own]
        rows.append(f"| [`{name}`](cells.md#{name}) | {' | '.join(figures)} |")
    return "\n".join([f"Measured on {about['device']}, jax {about['jax']}.\n", *rows, ""])


def draw(record: dict[str, Any]) -> Figure:
    """A panel for each task: scores over training time, and the names of some cells."""
    figure = Figure(figsize=(12, 4.2), dpi=100, layout="constrained")
    for axes, task, title in zip(figure.subplots(1, 3), TASKS, TITLES, strict=True):
        axes.set(xscale="log", yscale="log", title=title, xlabel="seconds for 1,000 minibatches")
        points = points_of(record, task).values()
        axes.scatter(*zip(*points, strict=True), s=14, color="0.65")
        axes.margins(0.08)
        set_ticks(axes.xaxis, *axes.get_xlim(), (1, 2, 5))
        is_wide = task == "adding"
        set_ticks(axes.yaxis, *axes.get_ylim(), (1,) if is_wide else (1, 2, 3, 4, 5, 7))
        axes.spines[["top", "right"]].set_visible(False)
    figure.draw_without_rendering()  # so that places on the canvas are known, and stay
    figure.set_layout_engine("none")
    for axes, task in zip(figure.axes, TASKS, strict=True):
        name_points(axes, points_of(record, task))
    return figure


def points_of(record, task):
    return {name: (f["seconds"], f["score"]) for name, f in record["tasks"][task].items()}


def set_ticks(axis, low, high, digits):
    ticks = [digit * 10.0**k for k in range(-6, 4) for digit in digits]
    axis.set_ticks([tick for tick in ticks if low < tick < high])
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def name_points(axes, points):
    """Names beside their points, each where it hides the fewest points and names."""
    places = axes.transData.transform(list(points.values()))
    for name in NAMED:
        place = axes.transData.transform(points[name])
        shifts = [(x, y) for y in (0, 13, -13, 26, -26, 39, -39) for x in (9, -9 - 8 * len(name))]
        grids = [place + shift + 8 * np.arange(len(name))[:, None] * (1, 0) for shift in shifts]
        is_near = [np.abs(grid[:, None] - places).max(axis=-1) < 7 for grid in grids]
        is_out = [(grid < axes.bbox.p0) | (grid > axes.bbox.p1) for grid in grids]
        hidden = [np.sum(near) + np.sum(out) for near, out in zip(is_near, is_out, strict=True)]
        best = int(np.argmin(hidden))
        places = np.concatenate([places, grids[best]])
        line = {"arrowstyle": "-", "color": "C0", "linewidth": 0.6}
        where = axes.transData.inverted().transform(grids[best][0])
        axes.annotate(name, points[name], where, va="center", fontsize=10, arrowprops=line)
        axes.plot(*points[name], "o", ms=6, color="C0")


def main(arguments: list[str] | None = None) -> None:
    Page(PAGE, PICTURE, RECORD, measure, table, draw).main(__doc__, arguments)


if __name__ == "__main__":
    main()
