"""Training health: what an optimizer records, and where training stops."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxrnn
from jaxrnn import diagnostics
from tests.laws.tables import I

T, B, H = 30, 2, 8
XS = jax.random.normal(jax.random.key(0), (T, B, I), jnp.float32)


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


def test_an_update_that_is_not_finite_is_not_made():
    """Neither to the parameters nor to the state of the optimizer, and training goes on after."""
    params = {"a": jnp.array([3.0, 4.0])}
    optimizer = diagnostics.record_health(optax.sgd(0.1, momentum=0.9), max_norm=1.0)
    plain = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, momentum=0.9))
    state, expected = optimizer.init(params), plain.init(params)
    good, bad = {"a": jnp.array([0.3, 0.4])}, {"a": jnp.array([jnp.inf, 1.0])}
    assert state.first_nonfinite == -1
    for grad in good, bad, bad, good:
        updates, state = jax.jit(optimizer.update)(grad, state, params)
        if grad is bad:
            assert (updates["a"] == 0).all()
        else:
            wanted, expected = plain.update(grad, expected, params)
            np.testing.assert_allclose(updates["a"], wanted["a"], rtol=1e-6)
    assert (state.count, state.num_nonfinite, state.first_nonfinite) == (4, 2, 1)
    assert state.clip_rate == 0


def trained(model, params, batches, loss, **options):
    """Runs a loop over compiled training steps until it is stopped."""
    optimizer = optax.chain(diagnostics.record_health(optax.sgd(1e-3)))
    state = optimizer.init(params)

    @jax.jit
    def train_step(params, state, xs):
        def of(params):
            return loss(model.apply(params, None, xs, **options)[1])

        updates, state = optimizer.update(jax.grad(of)(params), state, params)
        return optax.apply_updates(params, updates), state

    for xs in batches:
        params, state = train_step(params, state, xs)
        diagnostics.check_health(state, model, params, xs, loss, **options)
    return params


STACK = jaxrnn.stack(jaxrnn.rnn(jaxrnn.gru(H)), jaxrnn.bidirectional(jaxrnn.lstm(H)))


@pytest.mark.thorough
def test_training_stops_where_the_inputs_are_not_finite():
    params = STACK.init(jax.random.key(1), XS)
    poisoned = XS.at[17, 1].set(jnp.nan)
    message = r"^update 2 was not finite.*layer 0, rnn\(gru\(8\)\)\s+`xs` is not finite at step 17"
    with pytest.raises(FloatingPointError, match="(?s)" + message):
        trained(STACK, params, [XS, XS, poisoned, XS], jnp.mean)
    mask = jnp.ones((T, B), bool).at[17, 1].set(False)
    params = trained(STACK, params, [XS, poisoned], jnp.mean, mask=mask)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


@pytest.mark.thorough
def test_training_stops_where_a_carry_is_not_finite():
    """Long before the loss, which here does not even read it."""
    cell = jaxrnn.irnn(H, recurrent_kernel_init=jaxrnn.initializers.identity(scale=1e4))
    model = jaxrnn.stack(jaxrnn.dense(3), jaxrnn.rnn(cell))
    params = model.init(jax.random.key(1), XS)
    with pytest.raises(
        FloatingPointError, match=r"(?s)layer 1, .*`carry.h` is not finite at step "
    ):
        trained(model, params, [XS], lambda ys: jnp.mean(ys[-1]))


@pytest.mark.thorough
def test_training_stops_where_only_the_gradient_is_not_finite():
    """With the step at which it stops being finite, counted from the start in both directions."""
    model = jaxrnn.rnn(jaxrnn.scornn(H))
    params = model.init(jax.random.key(1), XS)
    with pytest.raises(
        FloatingPointError, match="gradient of the loss is not finite at step 29 and"
    ):
        trained(model, params, [XS], lambda ys: jnp.sqrt(0 * ys).sum())
    with pytest.raises(FloatingPointError, match="the loss is -inf"):
        trained(model, params, [XS], lambda ys: jnp.log(0 * ys).sum())


@pytest.mark.thorough
def test_other_inputs_than_those_that_gave_nan():
    cell = jaxrnn.elman(H)
    params = cell.init(jax.random.key(1), XS[0])
    optimizer = diagnostics.record_health(optax.sgd(1e-3))
    bad = params._replace(bias=params.bias * jnp.nan)
    _, state = optimizer.update(bad, optimizer.init(params), params)
    with pytest.raises(FloatingPointError, match=r"The last gradient was not finite in .bias"):
        diagnostics.check_health(state, cell, params, XS, jnp.mean)
    with pytest.raises(ValueError, match="`state` holds no HealthState"):
        diagnostics.check_health(state.inner, cell, params, XS, jnp.mean)
    with pytest.raises(TypeError, match="`loss` must be a function"):
        diagnostics.check_health(state, cell, params, XS, 3.0)
