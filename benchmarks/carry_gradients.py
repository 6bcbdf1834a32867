"""What gradients over time cost, next to the gradient of the parameters.

python -m benchmarks.carry_gradients
"""

import jax

import jaxrnn
from benchmarks.programs import Program
from benchmarks.timing import interleave, ratios, spread
from jaxrnn import diagnostics

CELLS = jaxrnn.lstm, jaxrnn.gru, jaxrnn.elman, jaxrnn.layer_norm_lstm, jaxrnn.min_gru
SIZES = (200, 16, 64), (100, 32, 128)  # T, B, H
ROUNDS = 41


def main() -> None:
    print("cell, T, B: carry gradients over the gradient of the parameters, median and quartiles")
    for steps, rows, hidden in SIZES:
        for make in CELLS:
            cell = make(hidden)
            seconds = interleave(programs(cell, (steps, rows, hidden)), ROUNDS)
            low, median, high = spread(ratios(seconds["over time"], seconds["parameters"]))
            print(f"{cell!r:20} {steps:4} {rows:3}   {median:.2f} ({low:.2f} to {high:.2f})")


def programs(cell: jaxrnn.Cell, shape: tuple[int, ...]) -> dict[str, Program]:
    """The gradient of the last output with respect to the parameters, and to every carry."""
    xs = jax.random.normal(jax.random.key(0), shape)
    params = cell.init(jax.random.key(1), xs[0])

    def loss(ys):
        return ys[-1, :, 0].sum()

    ways = {
        "parameters": jax.grad(lambda params: loss(jaxrnn.unroll(cell, params, None, xs)[1])),
        "over time": lambda params: diagnostics.carry_gradients(cell, params, None, xs, loss),
    }

    def compiled(way):
        run = jax.jit(way)
        return Program(lambda: jax.block_until_ready(run(params)))

    return {name: compiled(way) for name, way in ways.items()}


if __name__ == "__main__":
    main()
