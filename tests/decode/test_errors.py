"""What a decoder says to arguments that do not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import decode
from tests.decode.models import V, language_model

MODEL, PARAMS = language_model()
PROMPT = np.zeros((2, 3), int)
KEY = jax.random.key(0)
SERIES = jaxrnn.rnn(jaxrnn.gru(2))
X = np.zeros((2, 3, 2), np.float32)
LOGITS = np.zeros((4, 2, 3), np.float32)


def generate(prompt=PROMPT, key=KEY, length=2, model=MODEL, **options):
    return decode.generate(model, PARAMS, prompt, key, length, **options)


def beams(prompt=PROMPT, count=2, length=2, **options):
    return decode.beam_search(MODEL, PARAMS, prompt, count, length, **options)


def path(sample, prompt=X):
    params = SERIES.init(KEY, X)
    return decode.sample_path(SERIES, params, prompt, KEY, 2, sample=sample)


def pooled(run):
    """A decoder whose model has one output for all steps."""
    model = jaxrnn.stack(jaxrnn.embed(V, 3), jaxrnn.pool_last)
    return run(model, model.init(KEY, PROMPT))


def scheduled(rate, key=KEY, **options):
    return decode.scheduled_sampling(MODEL, PARAMS, None, PROMPT, key, rate, **options)


def backward(run):
    """A decoder whose model reads from the end."""
    model = jaxrnn.stack(jaxrnn.residual(jaxrnn.rnn(jaxrnn.gru(2), reverse=True)))
    return run(model, model.init(KEY, X))


CASES = {
    "a reversed layer in a path": (
        lambda: backward(
            lambda model, params: decode.sample_path(
                model, params, X, KEY, 2, sample=lambda key, y: y
            )
        ),
        r"`model` must read from the first .* rnn\(gru\(2\), reverse=True\) reads from the end",
    ),
    "a reversed layer in scheduled sampling": (
        lambda: backward(
            lambda model, params: decode.scheduled_sampling(model, params, None, X, KEY, 0.5)
        ),
        "`model` must read from the first step",
    ),
    "a pool in scheduled sampling": (
        lambda: pooled(
            lambda model, params: decode.scheduled_sampling(model, params, None, PROMPT, KEY, 0.5)
        ),
        r"`model` must return an output for each step, and stack\(.*pool_last\) pools over time",
    ),
    "two ways": (
        lambda: generate(
            model=jaxrnn.stack(jaxrnn.embed(V, 3), jaxrnn.bidirectional(jaxrnn.gru(2)))
        ),
        r"`model` must read from the first step .* bidirectional\(gru\(2\)\) reads from the end",
    ),
    "start": (lambda: generate(start=1.5), "`start` must be an integer of 0 or more"),
    "start before the first": (lambda: generate(start=-1), "`start` must be an integer of 0 or"),
    "start of each row": (lambda: generate(start=np.arange(3)), "`start` must be one number"),
    "a traced penalty": (
        lambda: jax.jit(lambda p: beams(length_penalty=p).scores)(1.0),
        "`length_penalty` is part of the program",
    ),
    "keys of another batch": (
        lambda: generate(key=jax.random.split(KEY, 4)),
        r"`key` must be a single key, or one for each row of the batch \(3,\)",
    ),
    "mask of another prompt": (
        lambda: generate(mask=np.ones((3, 3), bool)),
        r"`mask` must match the leading axes \(T, ...\) of `prompt`",
    ),
    "carry of another batch": (
        lambda: beams(carry=MODEL.init_carry(PARAMS, PROMPT[:, :2])),
        r"`carry` must have the batch axes of `prompt`, \(3,\): expected \(3, 3\), got float",
    ),
    "empty prompt": (lambda: generate(PROMPT[:0]), "`prompt` is empty.*begin with"),
    "no time axis": (lambda: generate(jnp.int32(0)), "`prompt` is empty"),
    "prompt of floats": (lambda: generate(X), r"`prompt` must be integers.*sample_path"),
    "prompt of a list": (lambda: generate([0, 1]), "`prompt` must be an array"),
    "symbol": (lambda: generate(PROMPT + V), r"`prompt` must be from 0 to 3, got values from 4"),
    "negative symbol": (lambda: beams(PROMPT - 1), r"`prompt` must be from 0 to 3"),
    "stop": (lambda: generate(stop=V), r"`stop` must be a symbol, from 0 to 3, got 4"),
    "stop of a beam": (lambda: beams(stop=-1), r"`stop` must be a symbol"),
    "stop is no integer": (lambda: generate(stop="a"), r"`stop` must be an integer or None"),
    "length": (lambda: generate(length=0), "`length` must be a positive integer"),
    "traced length": (
        lambda: jax.jit(lambda n: generate(length=n))(3),
        "`length` must be a positive",
    ),
    "no key": (lambda: generate(key=None), "`key` is None, and `categorical` draws"),
    "a seed": (lambda: generate(key=3), r"`key` must be a key of jax.random"),
    "mask": (lambda: generate(mask=np.ones((2, 2), bool)), r"`mask` must match the leading axes"),
    "row without a step": (
        lambda: generate(mask=np.array([[1, 0, 1], [1, 0, 0]], bool)),
        "`mask` leaves a row of `prompt` without a real step",
    ),
    "model": (lambda: generate(model=jaxrnn.gru(2)), "`model` must be a Layer|rnn"),
    "no logits": (
        lambda: pooled(lambda model, params: decode.generate(model, params, PROMPT, KEY, 2)),
        r"`model` must return floating logits \(2, 3, 'V'\)",
    ),
    "a traced stop": (
        lambda: jax.jit(lambda stop: generate(stop=stop).symbols)(1),
        "`stop` must be an integer or None",
    ),
    "a sampler by its name": (lambda: generate(sample="greedy"), "`sample` must be a function"),
    "a sampler that was not made": (
        lambda: generate(sample=decode.categorical),
        r"`sample` must be a function .* `jaxrnn.decode.categorical\(\)`",
    ),
    "a sampler of floats": (
        lambda: generate(sample=lambda key, logits: jnp.max(logits)),
        r"`sample` must return int64\(\), one step of one row, got float32\(\)",
    ),
    "keys that are floats": (lambda: generate(key=np.zeros((3, 2))), "`key` must be a key"),
    "a large penalty": (lambda: beams(length_penalty=1000.0), "`length_penalty` must be a number"),
    "words that are too large": (
        lambda: decode.edit_distance(np.array([2**40 + 1]), np.array([1], np.int8)),
        "`symbols` must be from -2147483648",
    ),
    "no beams": (lambda: beams(count=0), "`beams` must be a positive integer"),
    "penalty": (
        lambda: beams(length_penalty=-1.0),
        "`length_penalty` must be a number",
    ),
    "temperature": (
        lambda: decode.categorical(temperature=-1),
        "`temperature` must be a number",
    ),
    "top_k": (lambda: decode.categorical(top_k=0), "`top_k` must be a positive integer"),
    "top_p": (lambda: decode.categorical(top_p=0.0), r"`top_p` must be a number in \(0, 1\]"),
    "min_p": (lambda: decode.categorical(min_p=1.5), r"`min_p` must be a number in \[0, 1\]"),
    "min_p of two": (lambda: decode.categorical(min_p=np.ones(2)), "`min_p` must be one number"),
    "path of nothing": (lambda: path(lambda k, y: y, X[:0]), "`prompt` is empty"),
    "path of another size": (
        lambda: path(lambda k, y: y[:1]),
        r"`sample` must return float32\(2,\), one step of one row, got float32\(1,\)",
    ),
    "path of integers": (lambda: path(lambda k, y: y.astype(int)), r"`sample` must return float32"),
    "rate": (lambda: scheduled(1.5), r"`rate` must be a number in \[0, 1\]"),
    "rates": (lambda: scheduled(np.ones(3)), "`rate` must be one number or one for each of the 2"),
    "rates out of range": (lambda: scheduled(np.array([0.5, 2])), r"`rate` must be in \[0, 1\]"),
    "rate without a key": (lambda: scheduled(0.5, key=None), "`key` is None, and a rate between"),
    "floats for symbols": (
        lambda: scheduled(1.0, sample=lambda key, y: y[0]),
        "`sample` must return int",
    ),
    "blank": (
        lambda: decode.ctc_greedy(LOGITS, blank=3),
        "`blank` must be a class",
    ),
    "frames": (lambda: decode.ctc_greedy(LOGITS.astype(int)), "`logits` must be floating"),
    "frames and mask": (
        lambda: decode.ctc_beam_search(LOGITS, 2, np.ones((2, 4), bool)),
        r"`mask` must match the leading axes .* `logits` \(4, 2\)",
    ),
    "CTC beams": (lambda: decode.ctc_beam_search(LOGITS, 0), "`beams` must be a positive integer"),
    "distances of floats": (lambda: decode.edit_distance(X, X), "`symbols` must be integers"),
    "other rows": (
        lambda: decode.edit_distance(PROMPT, PROMPT.T),
        r"`targets` must have the batch axes of `symbols`, \(3,\), got \(2,\)",
    ),
    "other mask": (
        lambda: decode.error_rate(PROMPT, PROMPT, None, np.ones((3, 2), bool)),
        r"`target_mask` must match the leading axes",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_argument_is_named(name):
    run, message = CASES[name]
    with pytest.raises((ValueError, TypeError), match=message):
        run()


def test_a_traced_symbol_out_of_range_is_not_a_number():
    def run(prompt):
        return decode.generate(MODEL, PARAMS, prompt, KEY, 2)

    prompt = PROMPT.copy()
    prompt[0, 1] = V
    out = jax.jit(run)(prompt)
    assert (out.symbols[:, 1] == -1).all()
    assert (out.symbols[:, 0] >= 0).all()
