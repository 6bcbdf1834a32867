"""The network of `music.py`: it hears steps of four voices, and writes one voice after another."""

import chorales
import jax
import jax.numpy as jnp
import numpy as np

import jaxrnn

ORDER = 0, 3, 2, 1  # soprano, bass, tenor, alto: each is written with those before it in view
STAY = 5.0  # logit that a note has before training because it sounds: it mostly sounds on
SIZES = np.array([chorales.PITCHES] * 4 + [chorales.LONGEST] * 4 + [chorales.BAR])
OFFSETS = np.cumsum(SIZES) - SIZES  # each of the nine columns of a step has symbols of its own


def make_model(options):
    """The embedding of symbols, the recurrent part, and for each voice two layers."""
    dense, drop = jaxrnn.dense(128), jaxrnn.dropout(options.dropout)
    core = jaxrnn.stack(drop, jaxrnn.rnn(jaxrnn.lstm(options.units)), drop)
    return jaxrnn.embed(int(SIZES.sum()), 24), core, dense, jaxrnn.dense(chorales.PITCHES + 1)


def init(model, key, steps):
    """Parameters: of the embedding, the recurrent part, and the two layers of each voice."""
    embed, core, hidden, out = model
    keys = jax.random.split(key, 10)
    own = embed.init(keys[0], steps), None, None
    flat = jnp.zeros((*steps.shape[:2], len(SIZES) * 24))
    own = own[0], core.init(keys[1], flat)
    width = core.apply(own[1], None, flat)[1].shape[-1] + flat.shape[-1]
    layers = {}
    for i, voice in enumerate(ORDER):
        hidden_params = hidden.init(keys[2 + i], jnp.zeros((1, 1, width + 24 * i)))
        layers[voice] = hidden_params, out.init(keys[6 + i], jnp.zeros((1, 1, 128)))
    return *own, layers


def listen(model, params, carry, steps, key=None):
    """The carry, and what is known (T, B, F) after each of the steps (T, B, 9)."""
    _, seen = model[0].apply(params[0], None, steps + OFFSETS.astype(np.int32))
    seen = seen.reshape(*seen.shape[:2], -1)
    carry, state = model[1].apply(params[1], carry, seen, key=key)
    return carry, jnp.concatenate([state, seen], axis=-1)


def write(model, params, known, steps, choose):
    """The next chords (T, B, 4), as `choose(voice, logits)` says, and -log p (T, B, 4) of them."""
    notes, costs = [None] * 4, [None] * 4
    for voice in ORDER:
        hidden, out = params[2][voice]
        ys = model[3].apply(out, None, jax.nn.relu(model[2].apply(hidden, None, known)[1]))[1]
        sounds = jax.nn.one_hot(steps[..., voice], chorales.PITCHES)
        logits = jax.nn.log_softmax(ys[..., :-1] + (STAY + ys[..., -1:]) * sounds)
        notes[voice] = note = choose(voice, logits).astype(jnp.int32)
        costs[voice] = -jnp.take_along_axis(logits, note[..., None], axis=-1)[..., 0]
        _, new = model[0].apply(params[0], None, note + OFFSETS[voice].astype(np.int32))
        known = jnp.concatenate([known, new], axis=-1)
    return jnp.stack(notes, axis=-1), jnp.stack(costs, axis=-1)
