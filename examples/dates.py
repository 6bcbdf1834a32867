"""Reads dates as people write them and writes them as ISO 8601: "thu, 5 march 1987", 1987-03-05.

A bidirectional LSTM reads the characters, and a decoder with attention writes ten of them. It takes
about a minute on two cores, and then writes 2,000 dates that it has not seen without a mistake.
"""

import datetime

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxrnn
from jaxrnn import data, decode, losses

FORMATS = "%d %b %Y", "%d %B %Y", "%B %d, %Y", "%A, %B %d %Y", "%a, %d %B %Y", "%d.%m.%Y"
ALPHABET = "\n 0123456789,./-abcdefghijklmnopqrstuvwxyz"  # a new line begins an answer
V, H, BATCH, STEPS = len(ALPHABET), 64, 64, 1000

encoder = jaxrnn.stack(jaxrnn.embed(V, 32), jaxrnn.bidirectional(jaxrnn.lstm(H)))
attending = jaxrnn.attention(jaxrnn.lstm(2 * H), 2 * H)
decoder = jaxrnn.stack(jaxrnn.embed(V, 32), jaxrnn.rnn(attending), jaxrnn.dense(V))
optimizer = optax.adam(optax.cosine_decay_schedule(4e-3, STEPS))


def make_dates(rng, count):
    """Random dates: symbols (T, B) with their mask, and the symbols (11, B) of their ISO form."""
    days = [datetime.date.fromordinal(n) for n in rng.integers(690_000, 740_000, count).tolist()]
    texts = [day.strftime(rng.choice(FORMATS)).lower() for day in days]
    padded = data.pad_to_bucket([encode(text) for text in texts], smallest=32)
    return padded.xs, padded.mask, np.stack([encode(f"\n{day}") for day in days], axis=1)


def encode(text):
    """Symbols (T,)."""
    return np.array([ALPHABET.index(character) for character in text], np.int32)


def read(params, xs, mask):
    """The context of the decoder: all states of the encoder, batch first."""
    _, states = encoder.apply(params["encoder"], None, xs, mask=mask)
    return {"memory": states.swapaxes(0, 1), "memory_mask": mask.T}


@jax.jit
def train_step(params, state, xs, mask, iso):
    """One optimizer step on a batch of dates."""

    def loss(params):
        context = read(params, xs, mask)
        _, logits = decoder.apply(params["decoder"], None, iso[:-1], context=context)
        return losses.cross_entropy(logits, iso[1:])

    updates, state = optimizer.update(jax.grad(loss)(params), state)
    return optax.apply_updates(params, updates), state


def write(params, xs, mask):
    """The ten most likely symbols (10, B), each after the ones before it."""
    context, start = read(params, xs, mask), jnp.zeros((1, xs.shape[1]), jnp.int32)
    options = {"sample": decode.greedy, "context": context}
    return decode.generate(decoder, params["decoder"], start, None, 10, **options).symbols


def main():
    """Trains; returns the number of mistakes in 2,000 dates."""
    rng, keys = np.random.default_rng(0), jax.random.split(jax.random.key(0))
    xs, mask, iso = make_dates(rng, BATCH)
    params = {"encoder": encoder.init(keys[0], xs), "decoder": decoder.init(keys[1], iso)}
    state = optimizer.init(params)
    for _ in range(STEPS):
        params, state = train_step(params, state, *make_dates(rng, BATCH))
    xs, mask, iso = make_dates(np.random.default_rng(1), 2000)
    mistakes = int(np.sum((write(params, xs, mask) != iso[1:]).any(axis=0)))
    print(f"{2000 - mistakes} of 2000 new dates are exact")
    return mistakes


if __name__ == "__main__":
    main()
