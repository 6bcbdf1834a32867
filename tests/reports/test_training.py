"""Ways to train that users of other libraries asked for, against Python loops or by a law."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import assert_close, cell_example, total
from tests.reports import loops

T, B, I, H, K = 4, 3, 2, 3, 2
LSTM = jaxrnn.lstm(H)
EX = cell_example(LSTM, shape=(T, B, I))

MODEL = jaxrnn.stack(jaxrnn.embed(K + 1, 3), jaxrnn.rnn(LSTM), jaxrnn.dense(K))
START = jnp.asarray(K, jnp.int32)  # the symbol before the first
SEQUENCES = jnp.array(list(itertools.product(range(K), repeat=T)), jnp.int32)  # all, (K^T, T)
PARAMS = jax.tree.map(lambda x: 2.0 * x.astype(float), MODEL.init(jax.random.key(0), SEQUENCES.T))


def log_probability(params, symbols):
    """Of one sequence (T,), given symbol by symbol to an autoregressive model."""
    inputs = jnp.concatenate([START[None], symbols[:-1]])
    _, logits = MODEL.apply(params, None, inputs)
    return jnp.take_along_axis(jax.nn.log_softmax(logits), symbols[:, None], axis=1).sum()


@jax.jit
def every_sequence(params):
    """The log-probability and the score of every sequence."""
    return jax.vmap(jax.value_and_grad(log_probability), (None, 0))(params, SEQUENCES)


def test_probabilities_of_all_sequences():
    """pytorch/tutorials#2566: probabilities sum to 1, and scores of each sample have mean 0."""
    log_p, scores = every_sequence(PARAMS)
    np.testing.assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-14)
    for score in jax.tree.leaves(scores):
        assert np.abs(score).max() > 1e-3
        np.testing.assert_allclose(jnp.tensordot(jnp.exp(log_p), score, 1), 0, atol=1e-15)


def test_samples_fit_the_probabilities():
    """pytorch/tutorials#2566: each symbol is drawn from the logits, and is the next input."""
    count = 4000

    def body(state, key):
        carry, symbol = state
        carry, logits = jaxrnn.step(MODEL, PARAMS, carry, symbol)
        symbol = jax.random.categorical(key, logits).astype(jnp.int32)
        return (carry, symbol), symbol

    @jax.jit
    @jax.vmap
    def sample(key):
        start = MODEL.init_carry(PARAMS, START[None]), START
        return jax.lax.scan(body, start, jax.random.split(key, T))[1]

    drawn = np.asarray(sample(jax.random.split(jax.random.key(1), count)))
    counts = np.bincount(drawn @ (K ** np.arange(T)[::-1]), minlength=len(SEQUENCES))
    p = np.exp(every_sequence(PARAMS)[0])
    assert (np.abs(counts / count - p) < 4.5 * np.sqrt(p * (1 - p) / count)).all()


def test_scheduled_sampling():
    """magenta#1004, flax#172, seq2seq#219: a decoder reads targets or its own outputs by chance."""
    is_target = jnp.array([[1, 1, 0], [0, 1, 1], [1, 0, 0], [0, 0, 1]], bool)
    readout, targets = jnp.cos(jnp.arange(H * I, dtype=float)).reshape(H, I), EX.xs

    def loss(weights, step):
        params, readout = weights

        def body(state, given):
            carry, last = state
            target, teacher = given
            carry, h = step(params, carry, jnp.where(teacher[:, None], target, last))
            y = h @ readout
            return (carry, y), y

        return body, (EX.carry, jnp.zeros((B, I)))

    def library(weights):
        body, state = loss(weights, functools.partial(jaxrnn.step, LSTM))
        return total(jax.lax.scan(body, state, (targets, is_target)))

    def loop(weights):
        def step(params, carry, x):
            carry = loops.lstm_step(params, carry, x)
            return carry, carry[0]

        (body, state), ys = loss(weights, step), []
        for given in zip(targets, is_target, strict=True):
            state, y = body(state, given)
            ys.append(y)
        return total((state, jnp.stack(ys)))

    @jax.jit
    def both(weights):
        return [jax.value_and_grad(run)(weights) for run in (library, loop)]

    assert_close(*both((EX.params, readout)), 1e-13)


def test_burn_in():
    """ray#49680: the first steps only make a state, and no gradient flows through them."""

    def library(params):
        carry, _ = jaxrnn.unroll(LSTM, params, None, EX.xs[:2])
        return total(jaxrnn.unroll(LSTM, params, jax.lax.stop_gradient(carry), EX.xs[2:]))

    def loop(params, state):
        return total(loops.lstm(params, state, EX.xs[2:]))

    @jax.jit
    def both(params):
        state, _ = loops.lstm(params, (jnp.zeros((B, H)),) * 2, EX.xs[:2])
        return jax.grad(library)(params), jax.grad(loop)(params, state)

    assert_close(*both(EX.params), 1e-13)


def test_a_training_step_whose_arguments_are_donated():
    """jax#9635, flax#5461: parameters and carry are donated to each step of a stream."""
    layer = jaxrnn.rnn(jaxrnn.learned_carry(LSTM))

    def train(state, xs):
        params, carry, count = state

        def loss(params):
            new, ys = layer.apply(params, carry, xs)
            return (ys**2).sum(), new

        (value, carry), grads = jax.value_and_grad(loss, has_aux=True)(params)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
        return (params, carry, count + 1), value

    def start():
        params = layer.init(jax.random.key(0), EX.xs)
        return params, layer.init_carry(params, EX.xs), jnp.zeros((), jnp.int32)

    results = []
    for donated in ((), (0,)):
        state, step = start(), jax.jit(train, donate_argnums=donated)
        values = []
        for xs in (EX.xs[:2], EX.xs[2:], EX.xs[:2]):
            old, (state, value) = state, step(state, xs)
            values.append(value)
        assert all(leaf.is_deleted() == bool(donated) for leaf in jax.tree.leaves(old))
        results.append((state, values))
    assert_close(*results, 1e-15)


def test_dropout_within_the_loop():
    """flax#1252: the rate is kept, steps are independent, and evaluation drops nothing."""
    rate, steps, rows = 0.3, 120, 40
    cell = jaxrnn.candidate_dropout(jaxrnn.gru(H), rate)
    layer, xs = jaxrnn.rnn(cell), jnp.zeros((steps, rows, I))
    params = jax.tree.map(jnp.zeros_like, cell.init(jax.random.key(0), xs[0]))
    # The update gate is 0 and the candidate tanh(1): the state is what dropout leaves of it.
    bias = jnp.repeat(jnp.array([0.0, -jnp.inf, 1.0]), H)
    run = jax.jit(functools.partial(layer.apply, params._replace(bias=bias), None, xs))
    evaluated = run()[1]
    np.testing.assert_allclose(evaluated, np.tanh(1.0), rtol=1e-14)
    ys = np.asarray(run(key=jax.random.key(1))[1])
    kept = ys != 0
    np.testing.assert_allclose(ys[kept], np.tanh(1.0) / (1 - rate), rtol=1e-14)
    deviation = (kept - (1 - rate)) / np.sqrt(rate * (1 - rate))
    assert abs(deviation.mean()) < 4 / np.sqrt(kept.size)
    assert abs((deviation[1:] * deviation[:-1]).mean()) < 4 / np.sqrt(kept[1:].size)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float16, 2e-3), (jnp.bfloat16, 2e-2)])
def test_half_precision(dtype, tolerance):
    """keras-io#1861, keras#16552: the same weights in half precision, also in every wrapper."""
    gru = jaxrnn.gru(H)
    cells = gru, jaxrnn.zoneout(gru, 0), jaxrnn.clip_carry_gradient(gru, 1.0)
    params, h, xs = half_example(dtype)
    start = jaxrnn.HiddenCarry(h)

    @jax.jit
    def run(wide):
        return loops.gru(*wide)[1], [jaxrnn.unroll(cell, params, start, xs) for cell in cells]

    want, runs = run(half_example(jnp.float64))
    for carry, ys in runs:
        assert {carry.h.dtype, ys.dtype} == {jnp.dtype(dtype)}
        assert_close(ys.astype(float), want, tolerance)


def half_example(dtype):
    ex = cell_example(jaxrnn.gru(H), shape=(T, B, I))
    return jax.tree.map(lambda x: x.astype(dtype), (ex.params, ex.carry.h, ex.xs))
