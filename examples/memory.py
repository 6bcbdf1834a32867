"""Shows which recurrent cell remembers for how long: the adding problem and copy memory.

    python examples/memory.py           # two minutes on two cores
    python examples/memory.py --quick   # seconds

Adding: sum the two marked numbers of T. Copy memory: read five symbols, and write them after a
delay. Every batch is new. A GRU and an LSTM whose gates are told how long to remember (chrono) add
over 200 steps, and the GRU copies 99 % over a delay of 100. Cells without gates do neither in as
many steps, at a lower rate, which they need to stay finite.
"""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import shared
from matplotlib.figure import Figure

import jaxrnn
from jaxrnn import initializers, losses, plots

OPTIONS = {
    "steps": (1500, "optimizer steps of a cell at a length; fewer if it has learned the task"),
    "longest": (200, "steps of the longest adding problem; the longest delay is half", 24, 2000),
    "cells": (4, "how many of the cells to compare", 1, 4),
    "lengths": (2, "how many lengths, each four times the one before", 1, 2),
}
QUICK = {"steps": 20, "longest": 24, "cells": 1, "lengths": 1}
HIDDEN, BATCH, CHUNK = 64, 32, 20  # features; sequences; steps a program
RATES = {"Elman": 1e-3, "IRNN": 1e-3, "GRU": 1e-2, "LSTM": 1e-2}  # without gates 1e-2 diverges
SYMBOLS, KINDS = 5, 8  # how many symbols are to be copied, and of how many
SOLVED = 0.005  # training ends at this loss
CELLS = "Elman", "IRNN", "GRU", "LSTM"


def make_optimizer(name):
    """Adam at the rate of a cell, with clipped gradients."""
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(RATES[name]))


def make_cell(name, length):
    """A cell; those with gates are told how long they should remember."""
    if name == "Elman":
        return jaxrnn.elman(HIDDEN)
    if name == "IRNN":
        return jaxrnn.elman(HIDDEN, jax.nn.relu, recurrent_kernel_init=initializers.identity())
    if name == "GRU":
        return jaxrnn.gru(HIDDEN, bias_init=initializers.chrono(length, gates="rzn"))
    return jaxrnn.lstm(HIDDEN, bias_init=initializers.chrono(length))


def make_batch(task, key, length):
    """Inputs (T, B, I) and targets: the sums (B,), or the labels (SYMBOLS, B) of the last steps."""
    keys = jax.random.split(key, 3)
    if task == "adding":
        numbers = jax.random.uniform(keys[0], (length, BATCH))
        first = jax.random.randint(keys[1], (BATCH,), 0, length // 2)
        second = jax.random.randint(keys[2], (BATCH,), length // 2, length)
        marks = (jax.nn.one_hot(first, length) + jax.nn.one_hot(second, length)).T
        return jnp.stack([numbers, marks], axis=-1), jnp.sum(numbers * marks, axis=0)
    symbols = jax.random.randint(keys[0], (SYMBOLS, BATCH), 0, KINDS)
    rest = jnp.full((length + SYMBOLS, BATCH), KINDS).at[length:].set(KINDS + 1)
    return jax.nn.one_hot(jnp.concatenate([symbols, rest]), KINDS + 2), symbols


def loss(params, model, task, key, length):
    """The loss of one batch, and its score: the squared error, or the accuracy."""
    xs, targets = make_batch(task, key, length)
    _, ys = model.apply(params, None, xs)
    if task == "adding":
        error = losses.mean_squared_error(ys[-1, :, 0], targets)
        return error, error
    return losses.cross_entropy(ys[-SYMBOLS:], targets), losses.accuracy(ys[-SYMBOLS:], targets)


@functools.partial(jax.jit, static_argnames=("model", "name", "task", "length"))
def train(params, state, key, model, name, task, length):
    """CHUNK optimizer steps, and the mean of their losses."""

    def step(learned, key):
        cost, grads = jax.value_and_grad(loss, has_aux=True)(learned[0], model, task, key, length)
        updates, state = make_optimizer(name).update(grads, learned[1])
        return (optax.apply_updates(learned[0], updates), state), cost[0]

    learned, costs = jax.lax.scan(step, (params, state), jax.random.split(key, CHUNK))
    return *learned, costs.mean()


def learn(name, task, length, steps):
    """The score of a cell on new data after training."""
    model = jaxrnn.stack(jaxrnn.rnn(make_cell(name, length)), jaxrnn.dense(KINDS))
    score = jax.jit(functools.partial(loss, model=model, task=task, length=length))
    params = model.init(jax.random.key(0), make_batch(task, jax.random.key(0), length)[0])
    state = make_optimizer(name).init(params)
    for key in jax.random.split(jax.random.key(1), max(1, steps // CHUNK)):
        params, state, cost = train(params, state, key, model, name, task, length)
        if cost < SOLVED:
            break
    return np.mean([score(params, key=key)[1] for key in jax.random.split(jax.random.key(2), 16)])


def gradient_norms(name, length):
    """The norms (T,) of the gradient of the last step's output by each input, before training."""
    layer, key = jaxrnn.rnn(make_cell(name, length)), jax.random.key(0)
    xs, _ = make_batch("adding", key, length)
    params = layer.init(key, xs)
    grads = jax.grad(lambda xs: layer.apply(params, None, xs)[1][-1].sum())(xs)
    return jnp.linalg.norm(grads, axis=(1, 2))


def main(arguments=None):
    """Trains each cell at each length, and draws the scores, and gradients through time."""
    options, began = shared.options(__doc__, OPTIONS, QUICK, arguments), time.monotonic()
    cells, shares = CELLS[-options.cells :], (4, 1)[-options.lengths :]
    lengths = {"adding": [options.longest // share for share in shares]}
    lengths["copying"] = [length // 2 for length in lengths["adding"]]
    jobs = [(task, name, length) for task in lengths for name in cells for length in lengths[task]]
    found = dict.fromkeys(jobs, np.nan)
    for task, name, length in shared.until_interrupted(jobs):
        found[task, name, length] = learn(name, task, length, options.steps)
    figure = Figure((8, 3.6), layout="constrained")
    axes = figure.subplots(1, 3)
    labels = {"adding": "squared error of the sum", "copying": "share of symbols that are right"}
    guesses = {"adding": 1 / 6, "copying": 1 / KINDS}
    for ax, task in zip(axes, lengths, strict=False):
        places = np.array(lengths[task])
        scores = {
            name: (places, np.array([found[task, name, n] for n in places])) for name in cells
        }
        given = {"xlabel": f"{task}: steps", "baselines": {"guess": guesses[task]}}
        plots.learning_curves(scores, ylabel=labels[task], log=task == "adding", ax=ax, **given)
    norms = {name: gradient_norms(name, options.longest)[::-1] for name in cells}
    label = {"xlabel": "steps before the last", "ylabel": "gradient at the start"}
    plots.learning_curves(norms, **label, log=True, ax=axes[2])
    shared.save_picture(figure, options.out / "memory.png")
    for task, guess in zip(lengths, ("error (guess: 0.167)", "accuracy (0.125)"), strict=True):
        scores = ", ".join(f"{name} {found[task, name, lengths[task][-1]]:.4f}" for name in cells)
        print(f"held-out {task} over {lengths[task][-1]} steps, {guess}: {scores}")
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
