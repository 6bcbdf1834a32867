"""Gradients that vanish and explode over 200 steps, without and with each cure: a table, a picture.

    python examples/vanishing.py    # half a minute on two cores

The loss is one output of the last step. The table has the norm of its gradient with respect to the
carry before a step: how much of the loss can be blamed on what the network held then.
"""

import functools

import jax
import jax.numpy as jnp
import shared
from matplotlib.figure import Figure

import jaxrnn
from jaxrnn import diagnostics, initializers, plots

T, B, I, H = 200, 8, 16, 64  # steps, sequences, inputs of standard deviation 1, units
SHOWN = 0, 100, 150, 199  # steps in the table

wide = jaxrnn.irnn(H, recurrent_kernel_init=initializers.identity(scale=1.1))
CELLS = {
    "Elman": {
        "`elman(64)`, orthogonal start": jaxrnn.elman(H),
        "`irnn(64)`: rectifier, starts as the identity": jaxrnn.irnn(H),
        "`scornn(64)`: orthogonal at all times": jaxrnn.scornn(H),
        "`irnn(64)`, starts as 1.1 times the identity": wide,
        "the same in `clip_carry_gradient(..., 0.1)`": jaxrnn.clip_carry_gradient(wide, 0.1),
    },
    "LSTM": {
        "`lstm(64)` with biases of 0": jaxrnn.lstm(H, bias_init=jax.nn.initializers.zeros),
        "`lstm(64)`: forget gates start open": jaxrnn.lstm(H),
        "`layer_norm_lstm(64)`": jaxrnn.layer_norm_lstm(H),
        "`lstm(64, bias_init=chrono(200))`": jaxrnn.lstm(H, bias_init=initializers.chrono(T)),
    },
    "GRU": {
        "`gru(64)`": jaxrnn.gru(H),
        "`layer_norm_gru(64)`": jaxrnn.layer_norm_gru(H),
        '`gru(64, bias_init=chrono(200, gates="rzn"))`': jaxrnn.gru(
            H, bias_init=initializers.chrono(T, gates="rzn")
        ),
    },
}


@functools.partial(jax.jit, static_argnums=0)
def measure(cell):
    """The norms (T, B) of the gradient at each step, over all leaves of the carry."""
    xs = jax.random.normal(jax.random.key(0), (T, B, I))
    params = cell.init(jax.random.key(1), xs[0])
    found = diagnostics.carry_gradients(cell, params, None, xs, lambda ys: ys[-1, :, 0].sum())
    norms = functools.reduce(jnp.hypot, jax.tree.leaves(found.norms))  # squares would be 0
    return found._replace(norms=jaxrnn.HiddenCarry(norms))


def table(found):
    """A row for each cell: the mean norm over the batch at a few steps."""
    rows = [["cell", *(f"step {step}" for step in SHOWN)], ["---", *["--:"] * len(SHOWN)]]
    for cells in found.values():
        for name, gradients in cells.items():
            means = [float(gradients.norms.h[step].mean()) for step in SHOWN]
            rows.append([name, *(f"{mean:.0e}".replace("0e+00", "0") for mean in means)])
    return [f"| {' | '.join(row)} |" for row in rows]


def draw(found):
    """A panel for each kind of cell, on one logarithmic axis."""
    figure = Figure((11, 5), layout="constrained")
    for ax, (kind, cells) in zip(figure.subplots(1, 3, sharey=True), found.items(), strict=True):
        named = {name.replace("`", ""): gradients for name, gradients in cells.items()}
        plots.gradient_norms(named, ax=ax)
        ax.set(title=kind, ylim=(1e-35, 1e10), ylabel=ax.get_ylabel() if kind == "Elman" else "")
        ax.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    return figure


def main(arguments=None):
    """Measures all cells; returns the lines of the table."""
    options = shared.options(__doc__, {}, {}, arguments)
    found = {
        kind: {name: measure(cell) for name, cell in cells.items()} for kind, cells in CELLS.items()
    }
    lines = table(found)
    print("\n".join(lines))
    shared.save_picture(draw(found), options.out / "vanishing.png")
    return lines


if __name__ == "__main__":
    main()
