"""Training steps of cells that run by a program, beside cells with kernels of their own."""

import math
from collections.abc import Callable, Iterator

import jax
import numpy as np

import jaxrnn
from benchmarks.programs import compiled_step
from benchmarks.timing import interleave
from jaxrnn import Cell


def own(make: Callable[[int], Cell]) -> Callable[[int], Cell]:
    """The same equations as a cell of your own, for which no kernel is written."""

    def own_cell(size):
        cell = make(size)
        return cell._replace(update=lambda *args: cell.update(*args))

    return own_cell


SIZES = (200, 16, 64), (50, 32, 256)  # steps, sequences, features and units
ROUNDS = 25
BESIDE = {
    "lstm": {
        "lstm as a cell of your own": own(jaxrnn.lstm),
        "peephole_lstm": jaxrnn.peephole_lstm,
        "projected_lstm": lambda H: jaxrnn.projected_lstm(H, H // 2),
        "lem": jaxrnn.lem,
        "layer_norm_lstm": jaxrnn.layer_norm_lstm,
    },
    "gru": {
        "gru as a cell of your own": own(jaxrnn.gru),
        "gru, reset before the product": lambda H: jaxrnn.gru(H, reset_after=False),
        "coupled_lstm": jaxrnn.coupled_lstm,
        "mgu": jaxrnn.mgu,
        "ugrnn": jaxrnn.ugrnn,
        "layer_norm_gru": jaxrnn.layer_norm_gru,
    },
    "elman": {
        "elman as a cell of your own": own(jaxrnn.elman),
        "minimal_rnn": jaxrnn.minimal_rnn,
        "indrnn": jaxrnn.indrnn,
        "cornn": jaxrnn.cornn,
    },
}
INTRO = f"""## Beside the cells with kernels of their own

Each cell runs as a program, next to a cell that has a kernel written for it. *matrices* is the
ratio of their matrix sizes, which is roughly that of the work in their products. *time* is the
ratio of their training steps. If it is no larger than *matrices*, the program costs nothing extra.
A "cell of your own" has the equations of the built-in cell, so it shows what the kernel gains.
Least times of {ROUNDS} interleaved rounds, for T, B, H of {" and ".join(map(str, SIZES))}.

| cell | beside | matrices | time at H = {SIZES[0][2]} | time at H = {SIZES[1][2]} |
|---|---|--:|--:|--:|
"""


def rows() -> Iterator[tuple[str, str, list[float]]]:
    """Each cell, the one beside it, and the ratio of matrices and of times."""
    for beside, cells in BESIDE.items():
        ratios = {name: [] for name in cells}
        for T, B, H in SIZES:
            makers = {beside: getattr(jaxrnn, beside), **cells}
            xs = jax.random.normal(jax.random.key(0), (T, B, H))
            made = {name: make(H) for name, make in makers.items()}
            params = {name: cell.init(jax.random.key(1), xs[0]) for name, cell in made.items()}
            found = interleave(
                {name: _step(cell, params[name], xs) for name, cell in made.items()}, ROUNDS
            )
            for name in cells:
                if not ratios[name]:
                    ratios[name].append(_in_matrices(params[name]) / _in_matrices(params[beside]))
                ratios[name].append(min(found[name]) / min(found[beside]))
        for name, each in ratios.items():
            print(name, beside, each, flush=True)
            yield name, beside, [round(ratio, 2) for ratio in each]


def _step(cell, params, xs):
    def forward(params, xs):
        return jaxrnn.unroll(cell, params, None, xs, implementation="native")[1]

    return compiled_step(forward, params, xs)


def _in_matrices(params):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params) if np.ndim(leaf) > 1)


def section(found: list) -> str:
    """The part of the page, from what `rows` found."""
    lines = [f"| {name} | {beside} | " + " | ".join(f"{x:.2f}" for x in each) + " |" for
             name, beside, each in found]  # fmt: skip
    return INTRO + "\n".join(lines) + "\n"
