"""Reads handwritten digits pixel by pixel, in 196 and 1,024 steps: linear cells beside a GRU.

    python examples/long_digits.py             # all networks, both lengths: 15 minutes
    python examples/long_digits.py --quick     # one step each, to see that it runs

Linear cells need no loop over time. They come in deep stacks, with a norm, a gate and a residual
connection around each. The GRU is in such a stack too, and all see the same minibatches.
"""

import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import shared
from matplotlib.figure import Figure

import jaxrnn
from jaxrnn import plots

NETWORKS, LENGTHS = ("gru", "min_gru", "lru", "s5"), ("196", "1024")
OPTIONS = {
    "network": (("all", *NETWORKS), "the cell in the blocks"),
    "steps": (("both", *LENGTHS), "pixels of a digit"),
    "epochs": (6, "passes over the training digits"),
    "digits": (4000, "how many digits to train on", 50, 4000),
    "rate": (4e-3, "peak learning rate"),
    "dropout": (0.1, "share of the features dropped after each layer", 0, 0.9),
    "seed": (0, "random seed of the split, the weights and the noise"),
}
QUICK = {"steps": "196", "epochs": 1, "digits": 50}
CLASSES, HELD_OUT, BATCH, SHIFT = 10, 100, 50, 1  # held-out digits of a class; pixels of a move
WIDTH, STATE, BLOCKS = 48, 32, 3  # of the deep stacks: features, complex numbers of a state


def main(arguments=None):
    """Trains, prints the scores and the times, and draws the learning curves."""
    options, curves = shared.options(__doc__, OPTIONS, QUICK, arguments), {}
    names = NETWORKS if options.network == "all" else [options.network]
    lengths = LENGTHS if options.steps == "both" else [options.steps]
    digits = read_digits(options)
    for steps, name in itertools.product(map(int, lengths), names):
        model = network(name, steps, options.dropout)
        curves[steps, name] = curve = train(model, digits, steps, options)
        score, seconds = curve[-1][1], min(seconds for seconds, _ in curve)
        print(f"{name}, {steps} steps: held-out accuracy {score:.1%}, {seconds:.1f} s a pass")
    draw(curves, options.out / "long_digits.png")


def read_digits(options):
    """Training and held-out digits: two pairs of pictures (N, 14, 14), 0 to 1, and classes (N,)."""
    levels, classes = shared.load_digits()
    train, held_out = shared.split_by_class(classes, HELD_OUT, options.seed)
    chosen = np.random.default_rng(options.seed).permutation(train)[: options.digits]
    return [(levels[part] / np.float32(15), classes[part]) for part in (chosen, held_out)]


def network(name, steps, dropout):
    """Maps sequences (T, B, 1) to logits (B, 10). Gates start by remembering up to T steps."""
    gru_init, min_gru_init = (jaxrnn.initializers.chrono(steps, gates=g) for g in ("rzn", "zn"))
    cell = {
        "gru": jaxrnn.gru(WIDTH, bias_init=gru_init),
        "min_gru": jaxrnn.min_gru(WIDTH, bias_init=lambda *drawn: -min_gru_init(*drawn)),
        "lru": jaxrnn.lru(STATE),
        "s5": jaxrnn.s5(STATE),
    }[name]
    layer = jaxrnn.rnn(cell, implementation=None if name == "gru" else "associative")
    blocks = [jaxrnn.deep_block(layer, WIDTH, rate=dropout)] * BLOCKS
    last = jaxrnn.pool_mean, jaxrnn.dropout(dropout), jaxrnn.dense(CLASSES)
    return jaxrnn.stack(jaxrnn.dense(WIDTH), *blocks, *last)


def as_sequences(pictures, steps):
    """Pictures (B, 14, 14), scaled to T pixels, as sequences (T, B, 1)."""
    side = int(steps**0.5)
    pictures = jax.image.resize(pictures, (len(pictures), side, side), "bilinear")
    return pictures.reshape(len(pictures), steps, 1).swapaxes(0, 1)


def moved(key, pictures):
    """The pictures (B, 14, 14), each moved by up to `SHIFT` pixels in both directions."""
    wide = jnp.pad(pictures, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
    corners = jax.random.randint(key, (len(pictures), 2), 0, 2 * SHIFT + 1)
    return jax.vmap(lambda x, at: jax.lax.dynamic_slice(x, at, pictures.shape[1:]))(wide, corners)


def train(model, digits, steps, options):
    """For each pass: the seconds that it took, and the held-out accuracy after it."""
    (pictures, classes), held_out = digits
    count = len(classes) // BATCH
    rate = optax.cosine_onecycle_schedule(options.epochs * count, options.rate, pct_start=0.1)
    adam = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

    def train_step(state, given):
        (params, opt_state), (pictures, classes, key) = state, given
        xs = as_sequences(moved(key, pictures), steps)

        def loss(params):
            _, logits = model.apply(params, None, xs, key=key)
            return jaxrnn.losses.cross_entropy(logits, classes)

        cost, grads = jax.value_and_grad(loss)(params)
        updates, opt_state = adam.update(grads, opt_state)
        return (optax.apply_updates(params, updates), opt_state), cost

    @jax.jit
    def epoch(state, key, pictures, classes):
        rows = jax.random.permutation(key, len(classes))[: count * BATCH].reshape(count, -1)
        batches = pictures[rows], classes[rows], jax.random.split(key, count)
        return jax.lax.scan(train_step, state, batches)

    @jax.jit
    def accuracy(params, pictures, classes):
        _, logits = model.apply(params, None, as_sequences(pictures, steps))
        return jaxrnn.losses.accuracy(logits, classes)

    key = jax.random.key(options.seed)
    params = model.init(key, jax.ShapeDtypeStruct((steps, BATCH, 1), np.float32))
    state, curve, scores = (params, adam.init(params)), [], {}
    run = epoch.lower(state, key, pictures, classes).compile()  # not timed
    parts = list(zip(*(np.split(array, CLASSES) for array in held_out), strict=True))
    for number in shared.until_interrupted(range(options.epochs), scores):
        began = time.perf_counter()
        state, costs = run(state, jax.random.fold_in(key, number), pictures, classes)
        scores["loss"], seconds = float(costs.mean()), time.perf_counter() - began
        curve.append((seconds, float(np.mean([accuracy(state[0], *part) for part in parts]))))
    return curve


def draw(curves, path):
    """Draws the held-out accuracy over the passes for each length, and the time of a pass."""
    lengths, names = (list(dict.fromkeys(part)) for part in zip(*curves, strict=True))
    figure = Figure(figsize=(9, 3.5), dpi=100, layout="constrained")
    *panels, last = figure.subplots(1, len(lengths) + 1)
    for panel, steps in zip(panels, lengths, strict=True):
        scores = {name: [100 * score for _, score in curves[steps, name]] for name in names}
        plots.learning_curves(scores, xlabel="pass", ylabel="held-out accuracy in %", ax=panel)
        panel.set_title(f"{steps:,} steps")
    times = {n: [min(s for s, _ in curves[steps, n]) for steps in lengths] for n in names}
    times = {name: (lengths, seconds) for name, seconds in times.items()}
    plots.learning_curves(times, xlabel="steps", ylabel="seconds a pass", ax=last)
    last.set(title="Time", xlim=0, ylim=0)
    shared.save_picture(figure, path)


if __name__ == "__main__":
    main()
