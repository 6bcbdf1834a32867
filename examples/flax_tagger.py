"""A Flax linen tagger learns where words begin in Shakespeare without spaces.

The lines have variable length, including 0, and a bidirectional LSTM reads them. About 20 seconds
on two cores.
"""

import gzip
import re
from pathlib import Path

import jax
import numpy as np
import optax
from flax import linen as nn
from flax.training.train_state import TrainState

import jaxrnn
import jaxrnn.linen

TEXT = Path(__file__).parent / "data" / "shakespeare_tragedies.txt.gz"
LONGEST = 48  # letters; longer lines are cut
HELD_OUT = 2000  # lines at the end of the text that are not trained on
LETTERS, EMBEDDING, HIDDEN = 26, 32, 64  # symbols, features, features
BATCH, STEPS, RATE = 64, 300, 0.01  # lines; steps of Adam; its learning rate


class Tagger(nn.Module):
    """Embedding, bidirectional LSTM, dense."""

    @nn.compact
    def __call__(self, letters, lengths):
        """Letters (B, T) and lengths (B) to logits (B, T, 2): does a word begin here?"""
        x = nn.Embed(LETTERS, EMBEDDING)(letters)
        x = jaxrnn.linen.RNN(jaxrnn.bidirectional(jaxrnn.lstm(HIDDEN)))(x, seq_lengths=lengths)
        return nn.Dense(2)(x)


def read_lines():
    """Letters (N, T), tags (N, T) and lengths (N) of all lines."""
    text = re.sub("[^a-z \n]", "", gzip.decompress(TEXT.read_bytes()).decode().lower())
    lines = [line.split() for line in text.splitlines()]
    letters, tags = np.zeros((2, len(lines), LONGEST), np.int32)
    for i, words in enumerate(lines):
        row = np.frombuffer("".join(words).encode(), np.uint8)[:LONGEST]
        letters[i, : len(row)] = row - ord("a")
        begins = np.cumsum([0, *map(len, words)])
        tags[i, begins[begins < len(row)]] = 1
    return letters, tags, np.minimum([len("".join(words)) for words in lines], LONGEST)


@jax.jit
def train_step(state, letters, tags, lengths):
    """One step of the optimizer."""

    def cost(params):
        logits = state.apply_fn({"params": params}, letters, lengths)
        return jaxrnn.losses.cross_entropy(logits, tags, jaxrnn.length_mask(lengths, LONGEST).T)

    return state.apply_gradients(grads=jax.grad(cost)(state.params))


def main():
    """Trains, and returns the accuracy on held-out letters."""
    data, model, rng = read_lines(), Tagger(), np.random.default_rng(0)
    params = model.init(jax.random.key(0), data[0][:1], data[2][:1])["params"]
    state = TrainState.create(apply_fn=model.apply, params=params, tx=optax.adam(RATE))
    for _ in range(STEPS):
        rows = rng.integers(0, len(data[0]) - HELD_OUT, BATCH)
        state = train_step(state, *(array[rows] for array in data))

    letters, tags, lengths = (array[-HELD_OUT:] for array in data)
    guess = np.argmax(jax.jit(model.apply)({"params": state.params}, letters, lengths), -1)
    right, never = ((tags == x)[np.arange(LONGEST) < lengths[:, None]].mean() for x in (guess, 0))
    print(f"accuracy on {HELD_OUT} held-out lines: {right:.1%}; always 'no': {never:.1%}")
    for i in np.argsort(lengths)[::-400]:
        print("".join(" " * guess[i, t] + chr(97 + letters[i, t]) for t in range(lengths[i])))
    return right


if __name__ == "__main__":
    main()
