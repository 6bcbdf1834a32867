"""Small language models that the tests of decoders share."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import jaxrnn

V = 4  # symbols


@functools.lru_cache
def language_model(kind="gru"):
    """A model of symbols, and its parameters, whose logits are large enough to differ."""
    cell = {
        "gru": lambda: jaxrnn.gru(3),
        "lstm": lambda: jaxrnn.learned_carry(jaxrnn.lstm(3)),
        "attention": lambda: jaxrnn.attention(jaxrnn.gru(3), 2),
    }[kind]()
    model = jaxrnn.stack(jaxrnn.embed(V, 3), jaxrnn.rnn(cell), jaxrnn.dense(V))
    params = model.init(jax.random.key(0), jnp.zeros((2,), jnp.int32))
    keys = iter(jax.random.split(jax.random.key(1), 99))
    return model, jax.tree.map(lambda x: jax.random.normal(next(keys), x.shape, x.dtype), params)


def prompts(lengths, num_steps, seed=0):
    """Symbols (P, B), and a mask with the real steps of each row on the right or on the left."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((num_steps, len(lengths)), bool)
    for row, length in enumerate(lengths):
        mask[slice(length) if row % 2 else slice(num_steps - length, None), row] = True
    symbols = rng.integers(0, V, mask.shape)
    return np.where(mask, symbols, 77), mask  # the padding holds what is no symbol


@functools.lru_cache
def single_step(kind):
    """One step of a model for one sequence, compiled once."""
    model, params = language_model(kind)

    @jax.jit
    def run(carry, symbol, context):
        carry, logits = jaxrnn.step(model, params, carry, symbol, context=context)
        return carry, jax.nn.log_softmax(logits)

    return run, model.init_carry(params, jnp.zeros((1,), jnp.int32))


class Reader:
    """log p of the symbol after any others, by one step for each of them."""

    def __init__(self, kind, context=None):
        self.run, start = single_step(kind)
        self.context, self.seen = context, {(): (start, None)}

    def read(self, symbols):
        """The carry after these symbols, and log p of the next one."""
        symbols = tuple(map(int, symbols))
        if symbols not in self.seen:
            carry, _ = self.read(symbols[:-1])
            carry, log_p = self.run(carry, jnp.int32(symbols[-1]), self.context)
            self.seen[symbols] = carry, np.asarray(log_p)
        return self.seen[symbols]

    def log_p(self, symbols):
        return self.read(symbols)[1]
