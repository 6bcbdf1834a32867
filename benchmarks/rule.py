"""Where the native kernels are faster than XLA: measures the rules in `engines.cpu._when`.

python -m benchmarks.rule           measures all cells, for about an hour
python -m benchmarks.rule lem gru   measures some
"""

import functools
import itertools
import statistics
import sys

import jax

import jaxrnn
from benchmarks.programs import Program
from benchmarks.timing import interleave, ratios

CELLS = {
    "lstm": jaxrnn.lstm,
    "gru": jaxrnn.gru,
    "elman": jaxrnn.elman,
    # Which run by a program.
    "coupled_lstm": jaxrnn.coupled_lstm,
    "layer_norm_gru": jaxrnn.layer_norm_gru,
    "lem": jaxrnn.lem,
    "indrnn": jaxrnn.indrnn,
    # Linear, with a matrix for each of four heads.
    "retention": functools.partial(jaxrnn.retention, num_heads=4),
    "mlstm": functools.partial(jaxrnn.mlstm, num_heads=4),
}
ROWS, STEPS, HIDDEN = (1, 2, 8, 32), (1, 4, 16, 64, 128), (64, 256, 512)
ROUNDS = 7


def main(names: list[str]) -> None:
    unknown = sorted(set(names) - set(CELLS))
    if unknown:
        raise SystemExit(f"unknown cells {unknown}: there are {', '.join(CELLS)}")
    print("cell, B, T, H, bytes of the parameters: xla over native, forward and train")
    for name, hidden, rows, steps in itertools.product(names or CELLS, HIDDEN, ROWS, STEPS):
        cell = CELLS[name](hidden)
        xs = jax.random.normal(jax.random.key(0), (steps, rows, hidden))
        params = cell.init(jax.random.key(1), xs[0])
        found = [gain(cell, params, xs, kind) for kind in ("forward", "train")]
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
        chosen = jaxrnn.explain(cell, xs).implementation
        figures = " ".join(f"{x:5.2f}" for x in found)
        print(f"{name:14} {rows:3} {steps:4} {hidden:4} {size:8} {figures}  chosen: {chosen}")


def gain(cell, params, xs, kind):
    """The median over rounds of XLA's time divided by the native kernel's."""
    programs = {name: program(cell, params, xs, kind, name) for name in ("xla", "native")}
    seconds = interleave(programs, ROUNDS)
    return statistics.median(ratios(seconds["xla"], seconds["native"]))


def program(cell, params, xs, kind, implementation):
    def forward(params, xs):
        return jaxrnn.unroll(cell, params, None, xs, implementation=implementation)[1]

    def loss(params, xs):
        return (forward(params, xs) ** 2).sum()

    run = jax.jit(forward if kind == "forward" else jax.value_and_grad(loss))
    return Program(lambda: jax.block_until_ready(run(params, xs)))


if __name__ == "__main__":
    main(sys.argv[1:])
