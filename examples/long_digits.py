"""Reads handwritten digits pixel by pixel, in 196 and 1,024 steps: linear cells beside a GRU.

    python examples/long_digits.py                              # all networks, both lengths
    python examples/long_digits.py --network lru --steps 196    # one of them
    python examples/long_digits.py --quick                      # one pass, to see that it runs

A GRU takes its steps one after another. Linear cells do not have to, so one layer can do less, and
deep stacks put a norm, a gate and a residual connection around each of them. All networks read the
same minibatches. For 1,024 steps the digits are scaled up from 14x14 pixels to 32x32.
"""

import functools
import time

import jax
import jax.numpy as jnp
import matplotlib.figure
import numpy as np
import optax
import shared

import jaxrnn
from jaxrnn import losses

OPTIONS = {
    "network": (("all", "gru", "lru", "min_gru", "s5"), "what reads the digits"),
    "steps": (("both", "196", "1024"), "pixels of a digit"),
    "epochs": (12, "passes over the training digits"),
    "digits": (4000, "how many digits to train on", 50, 4000),
    "batch": (50, "digits in a minibatch", 1, 50),
    "rate": (4e-3, "peak learning rate"),
    "dropout": (0.1, "share of the features dropped after each layer", 0, 0.9),
    "seed": (0, "random seed of the split, the weights and the noise"),
}
QUICK = {"epochs": 1, "digits": 50}
CLASSES, HELD_OUT, SHIFT = 10, 100, 1  # held-out pictures of each digit; pixels of a random move
WIDTH, STATE, BLOCKS = 48, 32, 3  # of the deep stacks: features, complex numbers in a state


def main(arguments=None):
    """Trains, prints the scores and the times, and draws the learning curves."""
    options = shared.options(__doc__, OPTIONS, QUICK, arguments)
    names = OPTIONS["network"][0][1:] if options.network == "all" else [options.network]
    lengths = OPTIONS["steps"][0][1:] if options.steps == "both" else [options.steps]
    digits, held_out = read_digits(options)
    curves = {}
    for steps in map(int, lengths):
        for name in names:
            found = train(network(name, options.dropout), digits, held_out, steps, options)
            curves[steps, name] = found
            print(
                f"{name:8} {steps:5} steps: held-out accuracy {found[-1][1]:.1%}, "
                f"{found[-1][0] / len(found):.1f} s for each pass over the training digits"
            )
    draw(curves, options.out / "long_digits.png")


def read_digits(options):
    """Training and held-out digits: two pairs of pictures (N, 14, 14), 0 to 1, and classes (N,)."""
    levels, classes = shared.load_digits()
    train, held_out = shared.split_by_class(classes, HELD_OUT, options.seed)
    chosen = np.random.default_rng(options.seed).permutation(train)[: options.digits]
    return [(levels[part] / np.float32(15), classes[part]) for part in (chosen, held_out)]


def network(name, dropout):
    """Maps sequences (T, B, 1) to logits (B, 10)."""
    if name == "gru":
        gru, drop = (lambda size: jaxrnn.rnn(jaxrnn.gru(size))), jaxrnn.dropout(dropout)
        layers = [gru(128), drop, gru(64), jaxrnn.pool_mean, drop]
        return jaxrnn.stack(*layers, jaxrnn.dense(CLASSES))
    cell = {"min_gru": jaxrnn.min_gru(WIDTH)}.get(name) or getattr(jaxrnn, name)(STATE)
    block = jaxrnn.deep_block(jaxrnn.rnn(cell, implementation="associative"), WIDTH, rate=dropout)
    last = jaxrnn.pool_mean, jaxrnn.dense(CLASSES)
    return jaxrnn.stack(jaxrnn.dense(WIDTH), *[block] * BLOCKS, *last)


def as_sequences(pictures, steps):
    """Pictures (B, 14, 14), scaled to T pixels, as sequences (T, B, 1)."""
    side = int(steps**0.5)
    pictures = jax.image.resize(pictures, (len(pictures), side, side), "bilinear")
    return pictures.reshape(len(pictures), steps, 1).swapaxes(0, 1)


def moved(key, pictures):
    """The pictures (B, 14, 14), each moved by up to `SHIFT` pixels in both directions."""
    wide = jnp.pad(pictures, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
    corners = jax.random.randint(key, (len(pictures), 2), 0, 2 * SHIFT + 1)
    cut = functools.partial(jax.lax.dynamic_slice, slice_sizes=pictures.shape[1:])
    return jax.vmap(cut)(wide, corners)


def train(model, digits, held_out, steps, options):
    """The learning curve: seconds of training, and held-out accuracy, after each pass."""
    pictures, classes = map(jnp.asarray, digits)
    count = len(classes) // options.batch
    rate = optax.cosine_onecycle_schedule(options.epochs * count, options.rate, pct_start=0.1)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

    def train_step(state, given):
        (params, opt_state), (rows, key) = state, given
        xs = as_sequences(moved(key, pictures[rows]), steps)

        def loss(params):
            _, logits = model.apply(params, None, xs, key=key)
            return losses.cross_entropy(logits, classes[rows])

        cost, grads = jax.value_and_grad(loss)(params)
        updates, opt_state = optimizer.update(grads, opt_state)
        return (optax.apply_updates(params, updates), opt_state), cost

    def epoch(state, key):
        order = jax.random.permutation(key, len(classes))[: count * options.batch]
        keys = jax.random.split(key, count)
        state, costs = jax.lax.scan(train_step, state, (order.reshape(count, -1), keys))
        return state, costs.mean()

    @jax.jit
    def accuracy(params, pictures, classes):
        _, logits = model.apply(params, None, as_sequences(pictures, steps))
        return losses.accuracy(logits, classes)

    key = jax.random.key(options.seed)
    params = model.init(key, jax.ShapeDtypeStruct((steps, options.batch, 1), np.float32))
    state, seconds, curve, scores = (params, optimizer.init(params)), 0.0, [], {}
    run = jax.jit(epoch).lower(state, key).compile()
    parts = [np.split(array, CLASSES) for array in held_out]
    for number in shared.until_interrupted(range(options.epochs), scores):
        began = time.perf_counter()
        state, cost = run(state, jax.random.fold_in(key, number))
        scores["loss"] = float(cost)  # waits
        seconds += time.perf_counter() - began
        scores["held out"] = float(np.mean([accuracy(state[0], *p) for p in zip(*parts)]))
        curve.append((seconds, scores["held out"]))
    return curve


def draw(curves, path):
    """Draws the held-out errors over the time of training, a panel for each length."""
    lengths = list(dict.fromkeys(steps for steps, _ in curves))
    figure = matplotlib.figure.Figure(figsize=(9, 4), dpi=100, layout="constrained")
    panels = figure.subplots(1, len(lengths), squeeze=False, sharey=True)[0]
    for panel, length in zip(panels, lengths, strict=True):
        for (steps, name), curve in curves.items():
            if steps == length:
                seconds, accuracy = np.transpose(curve)
                panel.plot(seconds, 100 * (1 - accuracy), label=name)
        panel.set(title=f"{length:,} steps", xlabel="seconds of training", yscale="log")
        panel.grid(color="0.9", which="both")
    panels[0].set_ylabel("held-out errors in %")
    panels[0].legend()
    shared.save_picture(figure, path)


if __name__ == "__main__":
    main()
