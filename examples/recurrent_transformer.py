"""A Flax linen Transformer with recurrence instead of attention reads Shakespeare by letters.

A block mixes over time with `jaxrnn.linen.RNN` and over features with an MLP, each after a layer
norm and with a residual connection. It needs no positional encoding. About 40 seconds on two cores.
"""

import gzip
from pathlib import Path

import jax
import numpy as np
import optax
from flax import linen as nn
from flax.training.train_state import TrainState

import jaxrnn
import jaxrnn.linen

TEXT = Path(__file__).parent / "data" / "shakespeare_tragedies.txt.gz"
WIDTH, BLOCKS, WIDEN, DROPOUT = 128, 2, 4, 0.1  # features; blocks; MLP expansion; probability
BATCH, WINDOW, HELD_OUT = 32, 64, 40_000  # windows; characters; characters at the end
STEPS, RATE = 250, 0.006  # Adam steps, peak learning rate


class Block(nn.Module):
    """A Transformer block with a recurrent layer instead of attention."""

    @nn.compact
    def __call__(self, x):
        """(B, T, F) -> (B, T, F)."""
        mixer = jaxrnn.stack(jaxrnn.rnn(jaxrnn.lstm(WIDTH)), jaxrnn.dropout(DROPOUT))
        x = x + jaxrnn.linen.RNN(mixer)(nn.LayerNorm()(x))
        hidden = nn.gelu(nn.Dense(WIDEN * WIDTH)(nn.LayerNorm()(x)))
        return x + nn.Dense(WIDTH)(hidden)


class RecurrentTransformer(nn.Module):
    """Embedding, blocks, layer norm, dense."""

    vocabulary_size: int

    @nn.compact
    def __call__(self, symbols):
        """Symbols (B, T) to logits (B, T, V) of the next symbols."""
        x = nn.Embed(self.vocabulary_size, WIDTH)(symbols)
        for _ in range(BLOCKS):
            x = Block()(x)
        return nn.Dense(self.vocabulary_size)(nn.LayerNorm()(x))


@jax.jit
def train_step(state, windows, key):
    """One optimizer step on windows (B, T + 1)."""

    def cost(params):
        rngs = {"dropout": jax.random.fold_in(key, state.step)}
        logits = state.apply_fn({"params": params}, windows[:, :-1], rngs=rngs)
        return jaxrnn.losses.cross_entropy(logits, windows[:, 1:])

    return state.apply_gradients(grads=jax.grad(cost)(state.params))


def bits_of_pairs(read, unseen):
    """Bits per character of a bigram model, the best model without memory."""
    size = read.max() + 1
    counts = np.bincount(read[:-1] * size + read[1:], minlength=size**2).reshape(size, size) + 0.1
    return -np.log2((counts / counts.sum(1, keepdims=True))[unseen[:-1], unseen[1:]]).mean()


def main():
    """Trains; returns the bits per character of held-out text, for the model and for bigrams."""
    text = np.array(list(gzip.decompress(TEXT.read_bytes()).decode()))
    alphabet, symbols = np.unique(text, return_inverse=True)
    read, unseen = symbols[:-HELD_OUT], symbols[-HELD_OUT:]
    model, rng = RecurrentTransformer(len(alphabet)), np.random.default_rng(0)
    tx = optax.adam(optax.cosine_onecycle_schedule(STEPS, RATE))
    params = model.init(jax.random.key(0), symbols[None, :1])["params"]
    state = TrainState.create(apply_fn=model.apply, params=params, tx=tx)
    for _ in range(STEPS):
        starts = rng.integers(0, len(read) - WINDOW, BATCH)
        state = train_step(state, read[starts[:, None] + np.arange(WINDOW + 1)], jax.random.key(1))

    rows = unseen.reshape(8, -1)
    logits = jax.jit(model.apply)({"params": state.params}, rows[:, :-1])
    bits = float(jaxrnn.losses.cross_entropy(logits, rows[:, 1:]) / np.log(2))
    pairs = bits_of_pairs(read, unseen)
    print(f"bits per character of held-out text: {bits:.2f}; of a bigram model: {pairs:.2f}")
    return bits, pairs


if __name__ == "__main__":
    main()
