"""Recognizes spoken digits: a string of one to six from a mel spectrogram, in voices never heard.

python examples/speech.py                       # two-way layers, CTC: a minute, about 1 % errors
python examples/speech.py --model streaming     # one-way: writes digits while it listens, 4 %
python examples/speech.py --model transducer    # RNN-T: also reads what it has written, 10 %
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import shared
from matplotlib.figure import Figure

import jaxrnn
from jaxrnn import data, decode, losses, plots

OPTIONS = {
    "model": (("two-way", "streaming", "transducer"), "layers, and the loss"),
    "steps": (400, "training steps"),
    "size": (96, "features of a layer, in each direction"),
}
QUICK = {"steps": 3, "size": 8}
BATCH, RATE, DROPOUT = 32, 5e-3, 0.3  # utterances of a step; of Adam; of each layer's features
MELS, STACKED, STEP = 24, 2, 0.04  # bands; frames that are read as one step; seconds of a step
BLANK, SYMBOLS, BEAMS, CHUNK, LONGEST = 0, 11, 8, 10, 100  # digit d is d + 1; candidates; steps


def steps(x, rng=None):
    """Frames (T, MELS) as (T // STACKED, STACKED * MELS); `rng` varies speed, pitch and volume."""
    if rng is not None:
        times = np.arange(0, len(x) - 1, rng.uniform(0.8, 1.25))
        for places in (times, np.arange(MELS) + rng.uniform(-2, 2)):  # each one transposes x
            x = np.stack([np.interp(places, np.arange(len(x)), column) for column in x.T])
        x = x + rng.uniform(-0.3, 0.3) + rng.normal(0, 0.1, x.shape)
    return x[: len(x) // STACKED * STACKED].reshape(-1, STACKED * MELS).astype(np.float32)


def make_model(kind, size):
    """From steps to logits (T, B, SYMBOLS), and the network that reads what a transducer wrote."""
    cell, dropout, dense = jaxrnn.gru(size), jaxrnn.dropout(DROPOUT), jaxrnn.dense(SYMBOLS)
    layer = jaxrnn.bidirectional(cell) if kind == "two-way" else jaxrnn.rnn(cell)
    predictor = jaxrnn.stack(jaxrnn.embed(SYMBOLS, 32), jaxrnn.rnn(jaxrnn.gru(32)), dense)
    return jaxrnn.stack(layer, dropout, layer, dropout, dense), predictor


def loss(params, kind, model, batch, key):
    """Nats per utterance, summed over all alignments: of CTC, or of a transducer."""
    _, logits = model[0].apply(params[0], None, batch.xs, mask=batch.mask, key=key)
    targets, mask = batch.labels.T, batch.labels.T != BLANK
    if kind != "transducer":
        return losses.ctc_loss(logits, targets, batch.mask, mask)
    _, predicted = model[1].apply(params[1], None, jnp.pad(targets, ((1, 0), (0, 0))))
    return losses.rnnt_loss(logits[:, None] + predicted[None], targets, batch.mask, mask)


def train(kind, model, params, utterances, labels, num_steps):
    """Returns the trained parameters. Each epoch distorts the utterances differently."""
    rate = optax.cosine_decay_schedule(RATE, num_steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

    @jax.jit
    def train_step(params, state, batch, step):
        key = jax.random.fold_in(jax.random.key(1), step)
        cost, grads = jax.value_and_grad(loss)(params, kind, model, batch, key)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state, cost

    def batches(rng):
        for epoch in range(num_steps):
            xs, given = [steps(x, rng) for x in utterances], {"labels": labels, "epoch": epoch}
            yield from data.minibatches(xs, BATCH, **given, seed=0, smallest=LONGEST)

    state, scores, coming = optimizer.init(params), {}, batches(np.random.default_rng(0))
    for step in shared.until_interrupted(range(num_steps), scores):
        params, state, scores["loss"] = train_step(params, state, next(coming), step)
    return params


def transduce(predictor, params, logits, mask):
    """The symbol (T, B) that a transducer writes at each step, or BLANK, and log p of all."""

    def advance(state, step):
        log_p = jax.nn.log_softmax(state[1] + step[0])
        waits = state[2] + log_p[:, :1]  # log p (B, 1) that no symbol is due yet
        is_new = (waits < np.log(0.5)) & step[1][:, None]
        symbol = jnp.where(is_new[:, 0], 1 + jnp.argmax(log_p[:, 1:], axis=-1), BLANK)
        new = *jaxrnn.step(predictor, params, state[0], symbol), jnp.zeros_like(waits)
        old = *state[:2], waits
        return jax.tree.map(lambda a, b: jnp.where(is_new, a, b), new, old), (symbol, log_p)

    first = jaxrnn.step(predictor, params, None, jnp.full(mask.shape[1], BLANK))
    return jax.lax.scan(advance, (*first, jnp.zeros((mask.shape[1], 1))), (logits, mask))[1]


def stream(model, params, x):
    """Prints the digits of an utterance (T, STACKED * MELS) as CHUNK steps of it arrive."""
    carry, before = None, BLANK
    for start in range(0, len(x), CHUNK):
        carry, logits = model.apply(params, carry, x[start : start + CHUNK])
        for symbol in np.argmax(logits, axis=-1).tolist():
            if symbol not in (BLANK, before):
                print(f"  after {min(start + CHUNK, len(x)) * STEP:.1f} s: {symbol - 1}")
            before = symbol


def draw(x, chances, path):
    """The picture of frames (T, MELS), and of the probabilities (steps, SYMBOLS) of the symbols."""
    figure = Figure((8, 4.5), layout="constrained")
    above, below = figure.subplots(2)
    plots.sequence(x, xlabel="frame (20 ms)", ylabel="mel band", label="log energy", ax=above)
    given = {"xlabel": "step (40 ms)", "ylabel": "symbol", "features": ["blank", *range(10)]}
    plots.sequence(chances, limits=(0, 1), label="probability", ax=below, **given)
    shared.save_picture(figure, path)


def main(arguments=None):
    """Trains, and recognizes the voices that were not trained on."""
    options, began = shared.options(__doc__, OPTIONS, QUICK, arguments), time.time()
    arrays = shared.load_arrays("espeak_digits300_mel24_u8.npz")
    labels, is_test = arrays["labels"].astype(np.int32) + 1, arrays["test"]  # padded with BLANK
    utterances = np.split(arrays["x"] / 32 - 4, np.cumsum(arrays["lengths"], dtype=int)[:-1])
    train_set, test = ([utterances[i] for i in np.flatnonzero(is_test == x)] for x in (0, 1))
    xs, given = [steps(x) for x in test], {"labels": labels[is_test], "smallest": LONGEST}
    batch = data.minibatches(xs, len(test), **given)[0]
    model, key = make_model(options.model, options.size), jax.random.key(0)
    params = model[0].init(key, batch.xs), model[1].init(key, batch.labels.T)
    params = train(options.model, model, params, train_set, labels[~is_test], options.steps)
    _, logits = model[0].apply(params[0], None, batch.xs, mask=batch.mask)
    if options.model == "transducer":
        symbols, logits = transduce(model[1], params[1], logits, batch.mask)
        found = {"greedy": (symbols, symbols != BLANK)}
    else:
        best = [x[..., 0] for x in decode.ctc_beam_search(logits, BEAMS, batch.mask)[:2]]
        found = {"greedy": decode.ctc_greedy(logits, batch.mask)[:2], "beam search": best}
    if options.model == "streaming":
        print("spoken:", *[x - 1 for x in batch.labels[0].tolist() if x > 0])
        stream(model[0], params[0], xs[0])
    draw(test[0], jax.nn.softmax(logits[: len(xs[0]), 0]), options.out / "speech.png")
    for name, (x, mask) in found.items():
        rate = decode.error_rate(x, batch.labels.T, mask, batch.labels.T != BLANK)
        print(f"held-out digit errors {rate:.1%}, {name} (guess 90 %), {time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
