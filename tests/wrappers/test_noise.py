"""Cells that draw random numbers: their equations, with the noise given, and what they draw."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws import oracle
from tests.laws.tables import H, I, T, assert_close, cell_example, floats, leaky, total

LSTM = jaxrnn.lstm(H)
RATE = 0.25


def bits(seed, *shape):
    return jax.random.bernoulli(jax.random.key(seed), 0.5, shape)


def run(cell, ex, noise):
    """One sequence with the noise given: the final carry and the outputs."""
    return jaxrnn.unroll(cell, ex.params, ex.carry, jaxrnn.Noisy(ex.xs[:, 0], (noise, None)))


def alone(cell):
    """An example of one sequence, but with ``xs (T, 1, I)``."""
    ex = cell_example(cell, shape=(T, 1, I))
    return ex._replace(carry=jax.tree.map(lambda leaf: leaf[0], ex.carry))


def loop(step, ex, start, *noise):
    """A NumPy loop of ``step(carry, x, *noise)`` over one sequence."""
    carry, ys = start, []
    for x, *given in zip(*map(np.asarray, (ex.xs[:, 0], *noise)), strict=True):
        carry, y = step(carry, x, *given)
        ys.append(y)
    return carry, np.stack(ys)


def lstm(ex):
    params = jaxrnn.cells.LSTMParams(*map(np.asarray, ex.params))
    return functools.partial(oracle.lstm, params)


def test_zoneout_keeps_the_old_unit():
    ex, renew = alone(LSTM), [bits(1, T, H), bits(2, T, H)]

    def step(carry, x, renew_h, renew_c):
        new, _ = lstm(ex)(carry, x)
        h, c = (np.where(r, n, o) for r, n, o in zip((renew_h, renew_c), new, carry, strict=True))
        return (h, c), h

    carry, ys = run(jaxrnn.zoneout(LSTM, RATE), ex, renew)
    (h, c), want = loop(step, ex, tuple(map(np.asarray, ex.carry)), *renew)
    assert_close((carry.h, carry.c, ys), (h, c, want), 1e-14)


def test_zoneout_without_noise_is_its_expectation():
    ex, rates = alone(LSTM), (0.1, 0.6)

    def step(carry, x):
        new, _ = lstm(ex)(carry, x)
        h, c = (r * o + (1 - r) * n for r, n, o in zip(rates, new, carry, strict=True))
        return (h, c), h

    cell = jaxrnn.zoneout(LSTM, jaxrnn.LSTMCarry(*rates))
    carry, ys = jaxrnn.unroll(cell, ex.params, ex.carry, ex.xs[:, 0])
    (h, c), want = loop(step, ex, tuple(map(np.asarray, ex.carry)))
    assert_close((carry.h, carry.c, ys), (h, c, want), 1e-14)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_output_of_zoneout_is_the_zoned_state(dtype):
    ex = cell_example(LSTM, dtype=dtype)
    cell = jaxrnn.zoneout(LSTM, RATE)
    carry, ys = jaxrnn.unroll(cell, ex.params, ex.carry, ex.xs)
    np.testing.assert_array_equal(ys[-1], carry.h)


def test_candidate_dropout_leaves_the_memory_alone():
    ex, kept = alone(LSTM), bits(3, T, H)

    def step(carry, x, kept):
        h, c = carry
        p = ex.params
        a = np.asarray(x @ p.kernel + h @ p.recurrent_kernel + p.bias)
        i, f, g, o = np.split(a, 4)
        c = oracle.sigmoid(f) * c + oracle.sigmoid(i) * np.where(kept, np.tanh(g), 0) / (1 - RATE)
        h = oracle.sigmoid(o) * np.tanh(c)
        return (h, c), h

    carry, ys = run(jaxrnn.candidate_dropout(LSTM, RATE), ex, kept)
    (h, c), want = loop(step, ex, tuple(map(np.asarray, ex.carry)), kept)
    assert_close((carry.h, carry.c, ys), (h, c, want), 1e-14)


def test_state_dropout_reads_the_same_units_at_every_step():
    cell = jaxrnn.state_dropout(LSTM, RATE)
    ex, kept = alone(cell), bits(4, H)
    ex = ex._replace(carry=ex.carry._replace(dropped=ex.carry.carry))

    def step(state, x):
        carry, dropped = state
        params = jaxrnn.cells.LSTMParams(*map(np.asarray, ex.params))
        # The gates of an LSTM read h by the recurrent product only.
        new, y = oracle.lstm(params, (dropped, carry[1]), x)
        return (new, np.where(kept, new[0], 0) / (1 - RATE)), y

    noise = [jnp.broadcast_to(kept, (T, H))] * 2
    carry, ys = run(cell, ex, noise)
    start = tuple(map(np.asarray, ex.carry.carry))
    ((h, c), dropped), want = loop(step, ex, (start, start[0]))
    assert_close((*carry.carry, carry.dropped.h, ys), (h, c, dropped, want), 1e-14)


@pytest.mark.parametrize(
    "change",
    [
        jax.jit,
        jax.checkpoint,
        lambda update: jaxrnn.clip_carry_gradient(LSTM._replace(update=update), 1.0).update,
    ],
    ids=["jit", "checkpoint", "clip"],
)
def test_the_output_is_recognised_through(change):
    cell = jaxrnn.zoneout(LSTM._replace(update=change(LSTM.update)), RATE)
    ex = cell_example(LSTM)
    carry, ys = jaxrnn.rnn(cell).apply(ex.params, None, ex.xs, key=jax.random.key(0))
    np.testing.assert_array_equal(ys[-1], carry.carry.h)


@pytest.mark.parametrize(
    "cell",
    [
        jaxrnn.zoneout(leaky(), 0.2),
        jaxrnn.zoneout(LSTM, 0),
        jaxrnn.candidate_dropout(LSTM, 0),
        jaxrnn.state_dropout(LSTM, np.float32(0.3)),
    ],
    ids=["counter", "zoneout", "candidate", "state"],
)
def test_counters_and_rates_of_0(cell):
    xs = jax.random.normal(jax.random.key(0), (T, 2, I), jnp.bfloat16)
    layer = jaxrnn.rnn(cell)
    params = jax.tree.map(lambda leaf: leaf.astype(xs.dtype), layer.init(jax.random.key(1), xs))
    carry, ys = layer.apply(params, None, xs, key=jax.random.key(2))
    assert {leaf.dtype for leaf in floats((carry, ys))} == {xs.dtype}


@pytest.mark.parametrize("implementation", ["rbg", "unsafe_rbg"])
def test_other_kinds_of_keys_draw_the_same_in_chunks(implementation):
    key = jax.random.key(1, impl=implementation)
    xs = jnp.ones((T, 2, I))
    layer = jaxrnn.remat(jaxrnn.dropout(0.5), chunk=3)
    _, whole = jaxrnn.dropout(0.5).apply((), None, xs, key=key)
    np.testing.assert_array_equal(layer.apply((), None, xs, key=key)[1], whole)


def every_noise():
    cell = jaxrnn.zoneout(jaxrnn.candidate_dropout(jaxrnn.gru(H), RATE), RATE)
    return jaxrnn.state_dropout(cell, RATE)


def test_implementations_agree():
    ex, results = cell_example(every_noise()), []
    for implementation in ("scan", "xla"):
        layer = jaxrnn.rnn(every_noise(), implementation=implementation)

        def loss(params, xs, layer=layer):
            return total(layer.apply(params, None, xs, mask=ex.mask, key=jax.random.key(1))[1])

        results.append(jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(ex.params, ex.xs))
    assert_close(*results, 1e-12)


def noise_of(cell, num_steps=200, batch=3):
    """The noise that the layer of a cell draws, (T, B, ...), found by a cell that emits it."""

    wide = cell._replace(output=lambda params, carry, u: u[1])
    xs = jnp.zeros((num_steps, batch, I))
    layer = jaxrnn.rnn(wide)
    return layer.apply(layer.init(jax.random.key(0), xs), None, xs, key=jax.random.key(5))[1]


@pytest.mark.parametrize(
    "cell",
    [jaxrnn.zoneout(LSTM, 0.2), jaxrnn.candidate_dropout(jaxrnn.gru(H), 0.2)],
    ids=["zoneout", "candidate"],
)
def test_draws_have_the_rate_and_differ_between_steps_and_rows(cell):
    for drawn in map(np.asarray, jax.tree.leaves(noise_of(cell))):
        assert abs(drawn.mean() - 0.8) < 4 * np.sqrt(0.2 * 0.8 / drawn.size)
        assert (drawn[0] != drawn[1]).any() or (drawn[1] != drawn[2]).any()
        assert (drawn[:, 0] != drawn[:, 1]).any()


def test_state_dropout_is_drawn_once_a_sequence():
    wide = noise_of(jaxrnn.state_dropout(jaxrnn.lstm(50), 0.2), num_steps=5, batch=40)
    for drawn in map(np.asarray, wide):
        assert (drawn == drawn[:1]).all()
        assert (drawn[:, 0] != drawn[:, 1]).any()
        assert abs(drawn[0].mean() - 0.8) < 4 * np.sqrt(0.2 * 0.8 / drawn[0].size)


def test_wrappers_layers_and_directions_draw_apart():
    inner, outer = jaxrnn.zoneout(LSTM, 0.5), jaxrnn.zoneout(jaxrnn.zoneout(LSTM, 0.5), 0.5)
    own, wrapped = noise_of(inner), noise_of(outer)
    assert (np.asarray(own[0]) != np.asarray(wrapped[0])).any() or own[0] is not wrapped[0]
    xs = jnp.ones((T, 2, H))
    same = jaxrnn.variational_dropout(0.5)
    two = jaxrnn.stack(same, same)
    _, ys = two.apply(two.init(jax.random.key(0), xs), None, xs, key=jax.random.key(2))
    assert 0 < np.asarray(ys > 0).mean() < 0.45  # a second draw of its own leaves a quarter
    both = jaxrnn.bidirectional(same, same)
    _, ys = both.apply(both.init(jax.random.key(0), xs), None, xs, key=jax.random.key(3))
    assert (ys[..., :H] != ys[..., H:]).any()


def test_variational_dropout_has_the_rate():
    xs = jnp.ones((3, 400, 10))
    _, ys = jaxrnn.variational_dropout(0.3).apply((), None, xs, key=jax.random.key(0))
    assert (ys == ys[:1]).all()
    assert abs(float((ys > 0).mean()) - 0.7) < 0.03
    assert_close(ys.max(), jnp.float64(1 / 0.7), 1e-12)


def test_noise_of_a_leaky_integrator_has_its_standard_deviation():
    """Without weights, h wanders around 0; without a key, it stays."""
    layer = jaxrnn.rnn(jaxrnn.ctrnn(64, lambda x: x, alpha=0.1, noise=0.3))
    xs = jnp.zeros((400, 8, 2))
    params = jax.tree.map(jnp.zeros_like, layer.init(jax.random.key(0), xs))
    _, ys = layer.apply(params, None, xs, key=jax.random.key(1))
    assert abs(jnp.std(ys[50:]) / (0.3 * (2 / (2 - 0.1)) ** 0.5) - 1) < 0.05
    assert not layer.apply(params, None, xs)[1].any()
