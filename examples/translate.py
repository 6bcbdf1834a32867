"""Translates by attention: dates to ISO 8601, or English verses to Spanish, word by word.

    python examples/translate.py                  # about a minute on two cores: all dates get right
    python examples/translate.py --task verses    # about two minutes: words here and there

A bidirectional LSTM reads, and a decoder with attention writes. While it learns, its inputs are the
right tokens, and more and more of its own (scheduled sampling).
"""

import datetime
import itertools
import re
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import shared

import jaxrnn
from jaxrnn import data, decode, diagnostics, losses, plots

OPTIONS = {
    "task": (("dates", "verses"), "what to translate"),
    "steps": (600, "training steps"),
    "size": (64, "features of each direction of the encoder; the decoder has twice as many"),
}
QUICK = {"steps": 6, "size": 8}
BATCH, HELD_OUT, BEAMS, LONGEST = 64, 1000, 4, 32  # pairs; pairs; answers; steps of all sources
RATE, DROPOUT, SAMPLING = 4e-3, 0.3, 0.25  # of Adam; of the encoder; of own tokens at the end
FORMATS = "%d %b %Y", "%d %B %Y", "%B %d, %Y", "%A, %B %d %Y", "%a, %d %B %Y", "%d.%m.%Y"


def make_pairs(task):
    """Pairs of lists of tokens (source, answer), in random order, no source twice."""
    rng = np.random.default_rng(0)
    if task == "verses":
        lines = [line.lower().split("\t") for line in shared.load_lines("kjv_rv_12w.tsv.gz")]
        pairs = [[re.findall(r"\w+|[^\w\s]", x) for x in pair] for pair in dict(lines).items()]
        return [pairs[i] for i in rng.permutation(len(pairs))]
    days = map(datetime.date.fromordinal, (690_000 + rng.permutation(50_000)[:20_000]).tolist())
    return [(list(day.strftime(rng.choice(FORMATS)).lower()), list(f"{day}")) for day in days]


def numbered(texts, count):
    """The tokens that the first `count` texts have twice, and the symbols (T_i,) of all texts."""
    found, counts = np.unique([x for text in texts[:count] for x in text], return_counts=True)
    tokens = ["", "*", *found[counts > 1].tolist()]  # an end of an answer, what is not known
    symbols = {token: symbol for symbol, token in enumerate(tokens)}
    return tokens, [np.array([symbols.get(x, 1) for x in text], np.int32) for text in texts]


def make_model(size, num_sources, num_answers):
    """The encoder, (S, B) to (S, B, 2H), the part of the decoder that attends, and the decoder."""
    both, dropout = jaxrnn.bidirectional(jaxrnn.lstm(size)), jaxrnn.dropout(DROPOUT)
    encoder = jaxrnn.stack(jaxrnn.embed(num_sources, size), dropout, both, dropout)
    attending = jaxrnn.rnn(jaxrnn.attention(jaxrnn.lstm(2 * size), 2 * size))
    reader = jaxrnn.stack(jaxrnn.embed(num_answers, size), attending)
    return encoder, attending, jaxrnn.stack(reader, jaxrnn.dense(num_answers))


def read(encoder, params, batch, key=None):
    """The context of the decoder: all states of the encoder, batch first."""
    _, states = encoder.apply(params, None, batch.xs, mask=batch.mask, key=key)
    return {"memory": states.swapaxes(0, 1), "memory_mask": batch.mask.T}


def loss(params, model, batch, keys=(None, None), rate=0.0):
    """Nats per token, of scheduled sampling at a `rate`; 0 is teacher forcing."""
    answers, context = batch.labels.T, read(model[0], params[0], batch, keys[0])
    mask, xs = (answers[1:] >= 0) & (batch.indices >= 0), (params[1], None, answers[:-1], keys[1])
    _, logits = decode.scheduled_sampling(model[2], *xs, rate, mask=mask, context=context)
    return losses.cross_entropy(logits, answers[1:], mask)


def train(model, params, sources, answers, options):
    """The parameters after training, while the rate of sampling rises."""
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, options.steps))

    @jax.jit
    def train_step(params, state, batch, step):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(1), step))
        rate = SAMPLING * step / options.steps
        cost, grads = jax.value_and_grad(loss)(params, model, batch, keys, rate)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state, cost

    given = {"labels": answers, "smallest": LONGEST, "seed": 0}
    epochs = (data.minibatches(sources, BATCH, **given, epoch=i) for i in itertools.count())
    batches, state, scores = itertools.chain.from_iterable(epochs), optimizer.init(params), {}
    for step in shared.until_interrupted(range(options.steps), scores):
        params, state, scores["loss"] = train_step(params, state, next(batches), step)
    return params


def translate(model, params, batch):
    """The answers (U, B) of the greedy decoder and of beam search."""
    start, length = jnp.zeros((1, len(batch.labels)), jnp.int32), batch.labels.shape[1] - 1
    decoder = model[2], params[1], start
    given = {"stop": 0, "context": read(model[0], params[0], batch)}
    greedy = decode.generate(*decoder, None, length, sample=decode.greedy, **given).symbols
    return greedy, decode.beam_search(*decoder, BEAMS, length, **given).symbols[..., 0]


def draw(model, params, batch, pairs, path):
    """The picture of where the decoder looks in the longest source for each token of its answer."""
    i, (source, answer) = max(enumerate(pairs), key=lambda each: len(each[1][0]))
    vectors = params[1][0][0].embedding[np.maximum(batch.labels.T[: len(answer)], 0)]
    context = read(model[0], params[0], batch)
    weights = diagnostics.attention_weights(model[1], params[1][0][1], vectors, context)
    weights = weights[:, i, : len(source)]
    figure = plots.attention_map(weights, sources=source, targets=answer)
    shared.save_picture(figure, path)


def main(arguments=None):
    """Trains, translates what is held out, and draws where the decoder looks."""
    options, began = shared.options(__doc__, OPTIONS, QUICK, arguments), time.monotonic()
    pairs, space = make_pairs(options.task), " " * (options.task == "verses")
    count = len(pairs) - min(HELD_OUT, len(pairs) // 10)
    (tokens, sources), (names, answers) = (numbered(x, count) for x in zip(*pairs, strict=True))
    padded = data.pad_to_bucket([np.pad(x, 1) for x in answers], smallest=12)  # between two ends
    answers = np.where(padded.mask, padded.xs, -1).T
    held_out, given = pairs[count:], {"labels": answers[count:], "smallest": LONGEST}
    batch = data.minibatches(sources[count:], len(held_out), **given)[0]
    model, key = make_model(options.size, len(tokens), len(names)), jax.random.key(0)
    params = model[0].init(key, batch.xs), model[2].init(key, batch.labels.T)
    params = train(model, params, sources[:count], answers[:count], options)
    right, found = batch.labels.T[1:], translate(model, params, batch)
    for i in range(3):
        print(f"\n{space.join(held_out[i][0])}")
        for name, table in zip(("right", "greedy", "beam"), (right, *found), strict=True):
            print(f"  {name:8}{space.join(names[x] for x in table[:, i].tolist() if x > 0)}")
    draw(model, params, batch, held_out, options.out / "translate.png")
    greedy, best = (np.mean((x == np.maximum(right, 0)).all(axis=0)) for x in found)
    counts = np.bincount(answers[:count, 1:][padded.mask.T[:count, 1:]], minlength=len(names)) + 1
    unigram = np.mean(np.log(counts.sum() / counts)[right[right >= 0]])
    print(f"\nheld-out {loss(params, model, batch):.3f} nats per token (unigrams: {unigram:.2f}),")
    print(f"exact: greedy {greedy:.1%}, beams {best:.1%}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
