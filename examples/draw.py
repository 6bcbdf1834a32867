"""Draws digits pixel by pixel: each pixel is drawn at random, as the pixels before it suggest.

    python examples/draw.py            # two minutes on two cores
    python examples/draw.py --quick    # one pass, to see that it runs

A language model whose symbols are shades of gray. The first symbol of a sequence is the class of
the digit, so the network draws what it is asked for. The score is bits per pixel, the mean of
-log2 p(next pixel), on digits that it has not seen: 0.373, and 0.620 if each pixel is drawn by
itself, from its distribution in the training digits of the class.
"""

import functools
import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import shared

import jaxrnn
from jaxrnn import decode, losses, plots

OPTIONS = {
    "epochs": (16, "passes over the training digits"),
    "batch": (40, "digits in a minibatch", 1, 4000),
    "units": (160, "units of the recurrent layer"),
    "rate": (6e-3, "peak learning rate"),
    "temperature": (0.8, "of the drawn pixels; below 1 the likely ones become likelier"),
    "seed": (0, "random seed of the split, the weights and the drawings"),
}
QUICK = {"epochs": 1, "units": 16, "batch": 400}
SIDE, CLASSES, LEVELS = 14, 10, 4  # pixels, digits, shades of a pixel
SYMBOLS = LEVELS + CLASSES  # the shades come first, then the classes
HELD_OUT = 100  # digits of each class
ROWS = 5  # drawings of each digit


def main(arguments=None):
    """Trains, prints the bits per pixel, and draws digits."""
    options, began = shared.options(__doc__, OPTIONS, QUICK, arguments), time.perf_counter()
    digits, held_out = read_digits(options.seed)
    model = jaxrnn.stack(
        jaxrnn.embed(SYMBOLS, 32), jaxrnn.rnn(jaxrnn.gru(options.units)), jaxrnn.dense(SYMBOLS)
    )
    params = train(model, digits, options)
    costs = [bits(model, params, part) for part in np.split(held_out, CLASSES, axis=1)]
    drawn = sample(model, params, options)
    draw(held_out[:, ::HELD_OUT], drawn, options.out / "draw.png")
    print(
        f"held-out {np.mean(costs):.3f} bits per pixel (each pixel by itself: "
        f"{pixel_bits(digits, held_out):.3f}), {time.perf_counter() - began:.0f} s"
    )


def read_digits(seed):
    """Training and held-out digits as symbols (1 + 196, N), the class first; sorted by class."""
    levels, classes = shared.load_digits()
    shades = levels.reshape(-1, SIDE**2) * LEVELS // 16
    symbols = np.insert(shades.astype(np.int32), 0, LEVELS + classes, axis=1)
    return [symbols[part].T for part in shared.split_by_class(classes, HELD_OUT, seed)]


def bits(model, params, symbols):
    """Bits per pixel of digits (1 + 196, B)."""
    _, logits = model.apply(params, None, symbols[:-1])
    return losses.cross_entropy(logits, symbols[1:]) / math.log(2)


def train(model, digits, options):
    """The parameters after `options.epochs` passes, each of them one compiled program."""
    symbols = jnp.asarray(digits)
    steps = symbols.shape[1] // options.batch
    rate = optax.cosine_onecycle_schedule(options.epochs * steps, options.rate, pct_start=0.1)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

    def train_step(state, rows):
        cost, grads = jax.value_and_grad(functools.partial(bits, model))(state[0], symbols[:, rows])
        updates, opt_state = optimizer.update(grads, state[1])
        return (optax.apply_updates(state[0], updates), opt_state), cost

    @jax.jit
    def epoch(state, key):
        order = jax.random.permutation(key, symbols.shape[1])[: steps * options.batch]
        state, costs = jax.lax.scan(train_step, state, order.reshape(steps, -1))
        return state, costs.mean()

    key = jax.random.key(options.seed)
    params = jax.jit(model.init)(key, symbols)
    state, scores = (params, optimizer.init(params)), {}
    for number in shared.until_interrupted(range(options.epochs), scores):
        state, cost = epoch(state, jax.random.fold_in(key, number))
        scores["bits"] = float(cost)  # waits, so that Ctrl-C is heard after each pass
    return state[0]


def sample(model, params, options):
    """Drawn digits, ROWS of each class: (196, ROWS * 10)."""
    prompt = jnp.tile(jnp.arange(LEVELS, SYMBOLS), ROWS)[None]
    any_symbol = decode.categorical(temperature=options.temperature)

    def shade(key, logits):
        return any_symbol(key, logits.at[LEVELS:].set(-jnp.inf))

    key = jax.random.key(options.seed)
    return decode.generate(model, params, prompt, key, SIDE**2, sample=shade).symbols


def pixel_bits(digits, held_out):
    """The baseline: each pixel has a distribution of its own for each class, counted."""
    seen, asked = (
        x[1:].reshape(SIDE**2, CLASSES, -1, 1) == range(LEVELS) for x in (digits, held_out)
    )
    counts = 1 + seen.sum(axis=2)
    shares = counts / counts.sum(axis=-1, keepdims=True)
    return -np.mean(np.sum(asked * np.log2(shares)[:, :, None], axis=-1))


def draw(real, drawn, path):
    """Draws a row of held-out digits, and below them rows of digits that the network drew."""
    digits = np.concatenate([real[1:], drawn], axis=1).T.reshape(-1, CLASSES, SIDE, SIDE)
    rows = ["held out"] + ["drawn"] * (len(digits) - 1)
    figure = plots.images(digits, rows=rows)
    shared.save_picture(figure, path)


if __name__ == "__main__":
    main()
