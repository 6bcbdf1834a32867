"""SnAp-1 and e-prop, against loops with the whole influence, written from the papers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import online
from jaxrnn.online._units import find_units
from tests.laws.oracle import sigmoid
from tests.laws.tables import CELLS, H, I, assert_close, cell_example
from tests.online.learning import backward, cosine, forward, stream

DIAGONAL = ["indrnn", *(pytest.param(r, marks=pytest.mark.thorough) for r in ("brc", "unicornn"))]


@pytest.mark.parametrize("row", DIAGONAL)
def test_exact_where_units_see_their_own_past_alone(row):
    cell = jaxrnn.learned_carry(CELLS[row].cell)
    params, steps = stream(cell)
    _, expected = backward(cell, params, steps)
    assert_close(forward(online.snap1, cell, params, steps)[1], expected, 1e-10)


@pytest.mark.thorough
@pytest.mark.parametrize("row", ["indrnn", "brc", "unicornn"])
def test_without_a_recurrent_product_eprop_is_snap1(row):
    params, steps = stream(CELLS[row].cell)
    snap1, eprop = (
        forward(method, CELLS[row].cell, params, steps) for method in (online.snap1, online.eprop)
    )
    assert_close(eprop, snap1, 1e-12)


@pytest.mark.thorough
@pytest.mark.parametrize("method", [online.snap1, online.eprop])
@pytest.mark.parametrize("row", ["elman", "gru", "gru_reset_before", "lem", "cfc"])
def test_points_in_the_direction_of_the_gradient(row, method):
    cell = CELLS[row].cell
    params, steps = stream(cell)
    _, expected = backward(cell, params, steps)
    _, grads = forward(method, cell, params, steps)
    assert cosine(grads, expected) > 0.3


@pytest.mark.thorough
def test_scalars_that_feed_all_units_keep_all_their_influence():
    cell = CELLS["fast_rnn"].cell
    params, steps = stream(cell)
    _, expected = backward(cell, params, steps)
    _, grads = forward(online.snap1, cell, params, steps)
    for field in params._fields:
        is_scalar = getattr(params, field).size == 1
        error = np.abs(getattr(grads, field) - getattr(expected, field)).max()
        assert (error < 1e-10) == is_scalar


def influence_loop(params, xs, carry, step, keep):
    """The gradient of the sum over time of sin(h), by real-time recurrent learning in which `keep`
    changes the derivative J P of the past. The first H numbers of the carry are h."""
    jacobians = jax.jit(jax.jacrev(step, argnums=(0, 1)))
    influence = jax.tree.map(lambda p: np.zeros((carry.size, *p.shape)), params)
    total = jax.tree.map(np.zeros_like, params)
    for x in xs:
        immediate, carried = jacobians(params, carry, x)
        influence = jax.tree.map(
            lambda p, i, carried=carried: keep(np.tensordot(carried, p, 1)) + i,
            influence,
            immediate,
        )
        carry = step(params, carry, x)
        signal = np.concatenate([np.cos(carry[:H]), np.zeros(carry.size - H)])
        total = jax.tree.map(lambda t, p, s=signal: t + np.tensordot(s, p, 1), total, influence)
    return total


def own_column(past):
    """Influences (N, ..., G*H) with zeros but where the unit is that of the column."""
    units, columns = np.arange(len(past)) % H, np.arange(past.shape[-1]) % H
    is_own = units[:, None] == columns
    return past * is_own.reshape(len(past), *[1] * (past.ndim - 2), past.shape[-1])


def lstm_step(params, carry, x):
    h, c = jnp.split(carry, 2)
    a = x @ params.kernel + h @ params.recurrent_kernel + params.bias
    i, f, g, o = jnp.split(a, 4)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jnp.concatenate([jax.nn.sigmoid(o) * jnp.tanh(c), c])


def gradient_of_sines(method, cell, params, xs):
    learner = method(cell)

    def loss(params, state, x):
        state, y = learner.step(params, state, x)
        return jnp.sin(y).sum(), state

    state = learner.init(params, xs[0])
    return jax.jit(functools.partial(online.accumulate, loss))(params, state, xs)[2]


def test_snap1_is_the_influence_on_the_own_unit():
    cell = jaxrnn.lstm(H)
    ex = cell_example(cell, shape=(5, I))
    grads = gradient_of_sines(online.snap1, cell, ex.params, ex.xs)
    expected = influence_loop(ex.params, ex.xs, jnp.zeros(2 * H), lstm_step, own_column)
    assert_close(grads, jax.tree.map(jnp.asarray, expected), 1e-10)


def test_eprop_of_a_leaky_integrator():
    """Bellec et al., 2020: filtered presynaptic activity, the slope, and the error of the unit."""
    alpha = 0.3
    cell = jaxrnn.ctrnn(H, alpha=alpha)
    ex = cell_example(cell, shape=(5, I))
    params, h = jax.tree.map(np.asarray, ex.params), np.zeros(H)
    traces = [np.zeros((I, H)), np.zeros((H, H)), np.zeros(H)]
    total = [np.zeros_like(trace) for trace in traces]
    for x in np.asarray(ex.xs):
        a = np.tanh(x @ params.kernel + h @ params.recurrent_kernel + params.bias)
        slope = alpha * (1 - a**2)
        local = [np.outer(x, slope), np.outer(h, slope), slope]
        traces = [(1 - alpha) * trace + new for trace, new in zip(traces, local, strict=True)]
        h = (1 - alpha) * h + alpha * a
        signal = np.cos(h)
        total = [t + signal * trace for t, trace in zip(total, traces, strict=True)]
    grads = gradient_of_sines(online.eprop, cell, ex.params, ex.xs)
    assert_close(grads, type(grads)(*map(jnp.asarray, total)), 1e-12)


@pytest.mark.thorough
def test_eprop_of_an_lstm():
    """Bellec et al., 2020: traces of c decay by the forget gate, and h reads them."""
    cell = jaxrnn.lstm(H)
    ex = cell_example(cell, shape=(5, I))
    params, h, c = jax.tree.map(np.asarray, ex.params), np.zeros(H), np.zeros(H)
    traces = [np.zeros((I, 4 * H)), np.zeros((H, 4 * H)), np.zeros(4 * H)]
    total = [np.zeros_like(trace) for trace in traces]
    for x in np.asarray(ex.xs):
        a = np.split(x @ params.kernel + h @ params.recurrent_kernel + params.bias, 4)
        i, f, o, g = sigmoid(a[0]), sigmoid(a[1]), sigmoid(a[3]), np.tanh(a[2])
        of_c = i * (1 - i) * g, f * (1 - f) * c, i * (1 - g**2), np.zeros(H)
        c = f * c + i * g
        of_h = np.concatenate([np.zeros(3 * H), o * (1 - o) * np.tanh(c)])
        inputs = [x[:, None], h[:, None], 1.0]
        decay, reads = np.tile(f, 4), np.tile(o * (1 - np.tanh(c) ** 2), 4)
        traces = [decay * e + z * np.concatenate(of_c) for e, z in zip(traces, inputs, strict=True)]
        h = o * np.tanh(c)
        signal = np.tile(np.cos(h), 4)
        total = [
            t + signal * (reads * e + z * of_h)
            for t, e, z in zip(total, traces, inputs, strict=True)
        ]
    grads = gradient_of_sines(online.eprop, cell, ex.params, ex.xs)
    assert_close(grads, type(grads)(*map(jnp.asarray, total)), 1e-12)


def immediate_units(cell, params, x):
    """Whether each parameter of an array feeds at most one unit, by the whole derivative."""

    def step(params):
        carry = jaxrnn.LSTMCarry(jnp.linspace(-1, 1, H), jnp.linspace(1, 2, H))
        return jnp.stack(jaxrnn.step(cell, params, carry, x)[0])

    pattern = jax.tree.map(lambda d: np.asarray(d != 0), jax.jit(jax.jacrev(step))(params))
    return [bool((p.sum(1) <= 1).all()) for p in jax.tree.leaves(pattern)]


@pytest.mark.thorough
@pytest.mark.parametrize("row", ["lstm", "peephole_lstm", "layer_norm_lstm", "wmc_lstm"])
def test_the_units_are_those_of_the_whole_derivative(row):
    cell = CELLS[row].cell
    ex = cell_example(cell, shape=(5, I))
    found = find_units(cell, ex.params, ex.xs[0]).fed
    assert [places is not None for places in found] == immediate_units(cell, ex.params, ex.xs[0])
