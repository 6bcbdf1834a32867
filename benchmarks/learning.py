"""Tasks on which cells are compared. Each sequence is seen once, so every batch is a test first."""

import functools
import gzip
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxrnn
from jaxrnn import losses

DATA = pathlib.Path(__file__).parent.parent / "examples" / "data"
BATCH = 16  # sequences


class Task(NamedTuple):
    """What is learned, and its score: less is better."""

    model: Callable[[jaxrnn.Cell], jaxrnn.Layer]
    xs: jax.Array  # (steps of training, T, BATCH, ...)
    targets: jax.Array  # (steps of training, ...)
    loss: Callable  # (outputs, targets) -> ()
    score: Callable  # (outputs, targets) -> ()


def digits(rng: np.random.Generator, steps: int = 310) -> Task:
    """Handwritten digits, a row of 14 pixels a step; errors in per cent."""
    arrays = np.load(DATA / "mnist5k_14x14_4bit.npz")
    levels = np.stack([arrays["x"] >> 4, arrays["x"] & 15], axis=-1).reshape(-1, 14, 14)
    places = rng.permutation(len(levels))[: steps * BATCH].reshape(steps, BATCH)
    xs = jnp.asarray(np.moveaxis(levels[places] / np.float32(15), -2, -3))
    labels = jnp.asarray(arrays["y"][places].astype(np.int32))

    def errors(logits, labels):
        return 100 * (1 - losses.accuracy(logits, labels))

    return Task(functools.partial(_at_end, 10), xs, labels, losses.cross_entropy, errors)


def text(rng: np.random.Generator, steps: int = 300, length: int = 48) -> Task:
    """The next character of six tragedies, in short windows; bits a character."""
    string = gzip.decompress((DATA / "shakespeare_tragedies.txt.gz").read_bytes()).decode()
    vocabulary, symbols = np.unique(list(string), return_inverse=True)
    starts = length * rng.permutation(len(symbols) // length - 1)[: steps * BATCH]
    windows = symbols.astype(np.int32)[starts[:, None] + np.arange(length + 1)]
    windows = jnp.asarray(np.moveaxis(windows.reshape(steps, BATCH, -1), -1, -2))
    size = len(vocabulary)

    def model(cell):
        return jaxrnn.stack(jaxrnn.embed(size, 32), jaxrnn.rnn(cell), jaxrnn.dense(size))

    def bits(logits, labels):
        return losses.cross_entropy(logits, labels) / jnp.log(2.0)

    return Task(model, windows[:, :-1], windows[:, 1:], losses.cross_entropy, bits)


def adding(rng: np.random.Generator, steps: int = 800, length: int = 100) -> Task:
    """The adding problem: the sum of two marked numbers, one in each half; its squared error."""
    numbers = rng.random((steps, BATCH, length), np.float32)
    marks, half = np.zeros_like(numbers), length // 2
    for start in (0, half):
        places = start + rng.integers(half, size=(steps, BATCH, 1))
        np.put_along_axis(marks, places, 1, axis=-1)
    xs = jnp.asarray(np.moveaxis(np.stack([numbers, marks], axis=-1), -2, -3))
    sums, error = np.sum(numbers * marks, axis=-1, keepdims=True), losses.mean_squared_error
    return Task(functools.partial(_at_end, 1), xs, jnp.asarray(sums), error, error)


def _at_end(size, cell):
    """Maps sequences to `size` numbers after their last step."""
    return jaxrnn.stack(jaxrnn.rnn(cell), jaxrnn.pool_last, jaxrnn.dense(size))
