"""Shows which recurrent cell remembers for how long: the adding problem and copy memory.

    python examples/memory.py           # TIME minutes on two cores
    python examples/memory.py --quick   # seconds

Adding: sum the two marked numbers of T. Copy memory: read five symbols, and write them after a
delay. Every batch is new. TEXT
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
from jaxrnn import initializers, losses

OPTIONS = {
    "steps": (1500, "optimizer steps of a cell at a length; fewer if it has learned the task"),
    "longest": (200, "steps of the longest adding problem; the longest delay is half of it", 8),
}
QUICK = {"steps": 10, "longest": 8}
HIDDEN, BATCH, RATE, CHUNK = 64, 32, 1e-2, 20  # features; sequences; Adam; steps a program
SYMBOLS, KINDS = 5, 8  # how many symbols are to be copied, and of how many
SOLVED = {"adding": 0.005, "copying": 0.005}  # training ends at this loss
GUESS = {"adding": 1 / 6, "copying": 1 / KINDS}  # the error of always 1; the accuracy by chance
COLORS = {"Elman": "tab:gray", "IRNN": "tab:orange", "GRU": "tab:blue", "LSTM": "black"}

optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(RATE))


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
        half = length // 2
        first = jax.random.randint(keys[1], (BATCH,), 0, half)
        second = jax.random.randint(keys[2], (BATCH,), half, length)
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


@functools.partial(jax.jit, static_argnames=("model", "task", "length"))
def train(params, state, key, model, task, length):
    """CHUNK optimizer steps, and the mean of their losses."""

    def step(learned, key):
        cost, grads = jax.value_and_grad(loss, has_aux=True)(learned[0], model, task, key, length)
        updates, state = optimizer.update(grads, learned[1])
        return (optax.apply_updates(learned[0], updates), state), cost[0]

    learned, costs = jax.lax.scan(step, (params, state), jax.random.split(key, CHUNK))
    return *learned, costs.mean()


def learn(name, task, length, steps):
    """The score of a cell on new data after training."""
    model = jaxrnn.stack(jaxrnn.rnn(make_cell(name, length)), jaxrnn.dense(KINDS))
    score = jax.jit(functools.partial(loss, model=model, task=task, length=length))
    params = model.init(jax.random.key(0), make_batch(task, jax.random.key(0), length)[0])
    state = optimizer.init(params)
    for key in jax.random.split(jax.random.key(1), max(1, steps // CHUNK)):
        params, state, cost = train(params, state, key, model, task, length)
        if cost < SOLVED[task]:
            break
    return np.mean([score(params, key=key)[1] for key in jax.random.split(jax.random.key(2), 16)])


def gradient_norms(name, length):
    """The norms (T,) of the gradient of the last step's output by each input, before training."""
    layer, key = jaxrnn.rnn(make_cell(name, length)), jax.random.key(0)
    xs, _ = make_batch("adding", key, length)
    params = layer.init(key, xs)
    grads = jax.grad(lambda xs: layer.apply(params, None, xs)[1][-1].sum())(xs)
    return jnp.linalg.norm(grads, axis=(1, 2))
