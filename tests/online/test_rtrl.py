"""Real-time recurrent learning is backpropagation through time, to rounding."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import online
from tests.laws.tables import CELLS, H, assert_close, noisy
from tests.online.learning import backward, chunk, forward, stream

ROWS = ["lstm", "leaky"]
MORE = [
    "elman",
    "gru_reset_before",
    "gru",
    "lem",
    "indrnn",
    "regularized",
    "linear",
    "ctrnn_of_dale",
    "slstm",
]
MORE += ["weight_norm", "heads", "projected_lstm", "time_aware_lstm", "conv_lstm"]
ROWS += [pytest.param(row, marks=pytest.mark.thorough) for row in MORE]


@pytest.mark.parametrize("row", ROWS)
def test_equals_backpropagation_through_time(row):
    """With a batch, poisoned padding, resets and learned initial carries, in two chunks."""
    cell = CELLS[row].cell
    params, steps = stream(cell)
    values, grads = forward(online.rtrl, cell, params, steps)
    expected_values, expected = backward(cell, params, steps)
    assert_close(values, expected_values, 1e-12)
    assert_close(grads, expected, 1e-10)


def test_a_single_sequence_from_a_given_carry():
    """The carry given counts as a constant, and the readout has the gradient of the step."""
    cell = jaxrnn.lstm(H)
    learner = online.rtrl(cell)
    params, steps = stream(cell)
    xs = jnp.nan_to_num(steps.xs[:, 0])
    start = noisy(cell.init_carry(params, xs[0]), jax.random.key(3))
    params = {"cell": params, "readout": jnp.linspace(-1, 1, H)}

    def loss(params, state, x):
        state, y = learner.step(params["cell"], state, x)
        return jnp.sin(y @ params["readout"]), state

    def whole(params):
        _, ys = jaxrnn.unroll(cell, params["cell"], start, xs, implementation="scan")
        return jnp.sin(ys @ params["readout"]).sum()

    @jax.jit
    def run(params, xs):
        state = learner.init(params["cell"], xs[0], start)
        return online.accumulate(loss, params, state, xs)[2]

    assert_close(run(params, xs), jax.jit(jax.grad(whole))(params), 1e-10)


def test_a_layer_below_has_the_gradient_of_the_step():
    cell = jaxrnn.elman(H)
    learner = online.rtrl(cell)
    params, steps = stream(cell)
    x = steps.xs[0, 0]
    state = learner.init(params, x)

    def loss(x):
        return jnp.sin(learner.step(params, state, x)[1]).sum()

    def plain(x):
        return jnp.sin(jaxrnn.step(cell, params, state.carry, x)[1]).sum()

    assert_close(jax.grad(loss)(x), jax.grad(plain)(x), 1e-12)


@jax.custom_vjp
def spike(v):
    return (v > 0).astype(v.dtype)


spike.defvjp(lambda v: (spike(v), v), lambda v, ct: (ct * jnp.maximum(0, 1 - jnp.abs(v)),))


class SpikingCarry(NamedTuple):
    h: jax.Array  # (..., H), spikes
    v: jax.Array  # (..., H), voltages


def spiking():
    """Neurons that leak, integrate and fire, with a derivative of the spike that is made up."""
    cell = jaxrnn.elman(H)

    def init_carry(params, x):
        return SpikingCarry(*[jnp.zeros((*x.shape[:-1], H), params.kernel.dtype)] * 2)

    def update(params, carry, u, v):
        voltage = 0.8 * carry.v * (1 - carry.h) + u + v
        return SpikingCarry(spike(voltage - 0.3), voltage)

    return cell._replace(init_carry=init_carry, update=update)


@pytest.mark.thorough
@pytest.mark.parametrize("method", [online.rtrl, online.snap1, online.eprop])
def test_spikes_have_the_derivative_that_is_made_up(method):
    cell = spiking()
    params, steps = stream(cell)
    _, grads = forward(method, cell, params, steps)
    _, expected = backward(cell, params, steps)
    if method is online.rtrl:
        assert_close(grads, expected, 1e-10)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grads))


@pytest.mark.parametrize("method", [online.rtrl, online.uoro])
def test_dtype_in_is_dtype_out(method):
    """Influences are kept in float32, and nothing is promoted, also where ranks may not be."""
    cell = jaxrnn.lstm(H)
    params, steps = stream(cell, dtype=jnp.bfloat16)
    learner, run = chunk(method, cell)

    def whole(params, steps):
        state = learner.init(params, steps.xs[0], key=jax.random.key(0))
        return state, run(params, state, steps)

    with jax.numpy_rank_promotion("raise"):
        before, (after, values, grads) = jax.eval_shape(whole, params, steps)
    assert jax.tree.map(lambda leaf: leaf.dtype, before) == jax.tree.map(
        lambda leaf: leaf.dtype, after
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(after.influence)} == {jnp.dtype(jnp.float32)}
    assert {leaf.dtype for leaf in jax.tree.leaves((values, grads))} == {jnp.dtype(jnp.bfloat16)}


def test_equal_calls_are_equal():
    for method in (online.rtrl, online.snap1, online.uoro, online.eprop):
        assert method(jaxrnn.lstm(H)) == method(jaxrnn.lstm(H))
        assert method(jaxrnn.lstm(H)) != method(jaxrnn.gru(H))
    assert repr(online.rtrl(jaxrnn.lstm(H))) == f"rtrl(lstm({H}))"
