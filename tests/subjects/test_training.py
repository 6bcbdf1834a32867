"""Training window by window."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxrnn
from tests.laws.tables import B, H, I, assert_close

LENGTH, WINDOW = 12, 4
LAYER = jaxrnn.stack(jaxrnn.rnn(jaxrnn.lstm(H)), jaxrnn.dense(1))
XS = jax.random.normal(jax.random.key(0), (LENGTH, B, I), jnp.float64)
BATCH = (XS, jnp.cumsum(XS[..., :1], axis=0), jnp.ones((LENGTH, B), bool).at[9:, 1].set(False))
PARAMS = LAYER.init(jax.random.key(1), XS)


@pytest.fixture(autouse=True)
def optax_promotes():
    with jax.numpy_dtype_promotion("standard"):
        yield


def loss(params, carry, window, layer=LAYER):
    xs, targets, mask = window
    carry, ys = layer.apply(params, carry, xs, mask=mask)
    return (jnp.where(mask[..., None], ys - targets, 0) ** 2).sum(), carry


def training_step(optimizer):
    def step(state, carry, window):
        params, opt_state = state
        (value, carry), grads = jax.value_and_grad(loss, has_aux=True)(params, carry, window)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), carry, value

    return step


@pytest.mark.parametrize("length", [LENGTH, 10, 3], ids=lambda n: f"T{n}")
def test_equals_a_python_loop_over_windows(length):
    optimizer = optax.adam(1e-2)
    step, batch = training_step(optimizer), jax.tree.map(lambda x: x[:length], BATCH)
    start = (PARAMS, optimizer.init(PARAMS)), LAYER.init_carry(PARAMS, XS)
    train = jax.jit(functools.partial(jaxrnn.training.train_windows, step, window=WINDOW))
    state, carry, values = train(*start, batch)

    want, want_carry, want_values = *start, []
    jitted = jax.jit(step)
    for begin in range(0, length, WINDOW):
        window = jax.tree.map(lambda x, at=begin: x[at : at + WINDOW], batch)
        want, want_carry, value = jitted(want, want_carry, window)
        want_values.append(value)
    assert_close((state, carry, values), (want, want_carry, jnp.stack(want_values)), 1e-12)


@pytest.mark.thorough
def test_accumulated_windows_are_truncated_backpropagation():
    choices = {"accumulator_dtype": jnp.float64}
    every = optax.MultiSteps(optax.sgd(0.1), LENGTH // WINDOW, **choices)
    start = (PARAMS, every.init(PARAMS)), LAYER.init_carry(PARAMS, XS)
    train = jax.jit(
        functools.partial(jaxrnn.training.train_windows, training_step(every), window=WINDOW)
    )
    (params, _), _, _ = train(*start, BATCH)

    truncated = jaxrnn.truncate(LAYER, WINDOW)
    grads, _ = jax.grad(loss, has_aux=True)(PARAMS, None, BATCH, truncated)
    mean = jax.tree.map(lambda p, g: p - 0.1 * g / (LENGTH // WINDOW), PARAMS, grads)
    assert_close(params, mean, 1e-12)


def test_the_number_of_windows_is_not_in_the_program():
    step = training_step(optax.sgd(0.1))
    start = (PARAMS, optax.sgd(0.1).init(PARAMS)), LAYER.init_carry(PARAMS, XS)
    sizes = []
    for repeats in (1, 50):
        batch = jax.tree.map(lambda x, n=repeats: jnp.tile(x, (n,) + (1,) * (x.ndim - 1)), BATCH)
        train = functools.partial(jaxrnn.training.train_windows, step, window=WINDOW)
        sizes.append(len(str(jax.make_jaxpr(train)(*start, batch))))
    assert sizes[1] < 1.02 * sizes[0]
    assert np.isfinite(sizes).all()
