"""Reports name the trouble that a network was given."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxrnn
from jaxrnn import diagnostics
from tests.laws.tables import I

T, B, H = 60, 2, 16
XS = jax.random.normal(jax.random.key(0), (T, B, I), jnp.float32)


def troubles(model, params, xs=XS, loss=jnp.mean, **options):
    report = diagnostics.diagnose(model, params, xs, loss, **options)
    assert str(report)
    return [finding.trouble for finding in report.findings]


def elman(scale, activation=jnp.tanh):
    cell = jaxrnn.elman(
        H, activation=activation, recurrent_kernel_init=jaxrnn.initializers.orthogonal(scale=scale)
    )
    return cell, cell.init(jax.random.key(1), XS[0])


def test_vanishing():
    assert troubles(*elman(0.5)) == ["vanishing"]


@pytest.mark.thorough
def test_exploding_and_healthy():
    assert troubles(*elman(3.0, jax.nn.relu))[:1] == ["exploding"]
    cell, params = elman(1.0)
    params = params._replace(kernel=0.1 * params.kernel)
    assert troubles(cell, params) == []


@pytest.mark.thorough
def test_saturated_and_dead():
    cell, params = elman(0.9)
    saturated = params._replace(kernel=100 * params.kernel)
    assert "saturated" in troubles(cell, saturated)
    dead = params._replace(bias=params.bias.at[:4].set(-50))
    assert "dead" in troubles(cell, dead)


@pytest.mark.thorough
def test_parts_of_a_stack():
    """The sick part is named, padding is not read, and what cannot stream is listed."""
    well = jaxrnn.rnn(jaxrnn.scornn(H))
    sick = jaxrnn.rnn(elman(0.3)[0], reverse=True)
    model = jaxrnn.stack(
        jaxrnn.embed(7, 3), well, sick, jaxrnn.bidirectional(jaxrnn.gru(4)), jaxrnn.pool_last
    )
    symbols = jax.random.randint(jax.random.key(0), (T, B), 0, 7)
    mask = jaxrnn.length_mask(jnp.array([20, T]), T)
    params = model.init(jax.random.key(1), symbols)
    params = (jax.tree.map(lambda leaf: leaf / 4, params[0]), *params[1:])
    report = diagnostics.diagnose(model, params, symbols, jnp.sum, mask=mask)
    assert [(f.trouble, f.part) for f in report.findings] == [("vanishing", repr(sick))]
    assert [m.num_steps for m in report.measures] == [T, T]
    assert report.skipped == ["bidirectional(gru(4))"]
    _, y = model.apply(params, None, symbols, mask=mask)
    np.testing.assert_allclose(report.loss, y.sum(), rtol=1e-5)


def test_not_finite():
    """The first step and leaf, before what follows from it."""
    cell = jaxrnn.lstm(H)
    params = cell.init(jax.random.key(1), XS[0])
    poisoned = XS.at[17, 1].set(jnp.nan)
    assert str(diagnostics.first_nonfinite(cell, params, None, poisoned)) == (
        "`xs` is not finite at step 17"
    )
    mask = jnp.ones((T, B), bool).at[17, 1].set(False)
    assert diagnostics.first_nonfinite(cell, params, None, poisoned, mask=mask) is None
    assert diagnostics.first_nonfinite(jaxrnn.rnn(cell), params, None, poisoned).step == 17
    broken = params._replace(kernel=params.kernel.at[0, 0].set(jnp.inf))
    found = diagnostics.first_nonfinite(cell, broken, None, XS)
    assert found == diagnostics.NonFinite(None, "params.kernel")


@pytest.mark.thorough
def test_a_loss_that_is_not_finite():
    cell = jaxrnn.scornn(H)
    params = cell.init(jax.random.key(1), XS[0])
    assert troubles(cell, params, XS.at[17, 1].set(jnp.nan)) == ["not finite"]
    assert troubles(cell, params, XS, lambda ys: jnp.log(jnp.sum(ys) * 0)) == ["not finite"]
    assert troubles(cell, params, XS, lambda ys: jnp.sum(jnp.sqrt(ys * 0))) == ["not finite"]


def growing():
    """c overflows in its 20th step, and h, made of it, is finite until then."""

    def init_carry(params, x):
        return jaxrnn.LSTMCarry(jnp.zeros_like(x), jnp.ones_like(x))

    def step(params, carry, x):
        c = 100 * carry.c
        carry = jaxrnn.LSTMCarry(jnp.tanh(x), c)
        return carry, carry.h

    return jaxrnn.from_step(lambda key, x: (), init_carry, step)


def test_an_overflow_of_the_carry():
    found = diagnostics.first_nonfinite(growing(), (), None, XS)
    assert found == diagnostics.NonFinite(19, "carry.c")


def test_record_health():
    """Against plain norms, and the updates are those of optax."""
    params = {"a": jnp.array([3.0, 4.0]), "b": jnp.array(0.0)}
    grads = [{"a": jnp.array([0.3, 0.4]), "b": jnp.array(0.0)}] * 2
    grads += [{"a": jnp.array([30.0, 40.0]), "b": jnp.array(0.0)}]
    optimizer = diagnostics.record_health(optax.sgd(0.1), max_norm=1.0)
    plain = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1))
    state, other = optimizer.init(params), plain.init(params)
    update = jax.jit(optimizer.update)
    for grad in grads:
        updates, state = update(grad, state, params)
        expected, other = plain.update(grad, other, params)
        for name in params:
            np.testing.assert_allclose(updates[name], expected[name], atol=1e-7)
    np.testing.assert_allclose(state.gradient_norm, 50, rtol=1e-6)
    np.testing.assert_allclose(state.clip_rate, 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(state.update_ratios["a"], 0.1 / 5, rtol=1e-6)
    assert state.num_nonfinite == 0
    _, state = update({"a": jnp.array([jnp.nan, 0]), "b": jnp.array(0.0)}, state, params)
    assert (state.num_nonfinite, state.count) == (1, 4)
    chained = optax.chain(optimizer, optax.scale(2.0))
    assert chained.update(grads[0], chained.init(params), params)
