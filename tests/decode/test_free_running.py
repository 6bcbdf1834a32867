"""Paths of vectors, and decoders that read given inputs, their own outputs, or both."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.decode import categorical, greedy, sample_path, scheduled_sampling
from tests.decode.models import language_model
from tests.laws.tables import assert_close

L, P, B, I = 3, 3, 4, 2
KEY = jax.random.key(0)
MASK = np.array([[1, 1, 0, 1], [1, 0, 1, 1], [1, 0, 1, 0]], bool)


@functools.lru_cache
def series_model():
    model = jaxrnn.stack(jaxrnn.rnn(jaxrnn.gru(3)), jaxrnn.dense(2 * I))
    prompt = jax.random.normal(jax.random.key(1), (P, B, I))
    return model, model.init(KEY, prompt), prompt


def gaussian(key, y):
    mean, log_scale = jnp.split(y, 2)
    return mean + jnp.exp(log_scale) * jax.random.normal(key, mean.shape, y.dtype)


@functools.partial(jax.jit, static_argnums=3)
def path_by_hand(params, prompt, key, length):
    """One row, step by step."""
    model, _, _ = series_model()
    carry, y = model.apply(params, None, prompt)
    y, xs, ys = y[-1], [], []
    for i in range(length):
        x = gaussian(jax.random.fold_in(key, i), y)
        xs, ys = [*xs, x], [*ys, y]
        carry, y = jaxrnn.step(model, params, carry, x)
    return jnp.stack(xs), jnp.stack(ys)


def test_a_path_equals_a_loop_of_steps():
    model, params, prompt = series_model()
    poisoned = jnp.where(MASK[..., None], prompt, jnp.nan)
    path = sample_path(model, params, poisoned, KEY, L, sample=gaussian, mask=MASK)
    keys = jax.random.split(KEY, B)
    for row in range(B):
        xs, ys = path_by_hand(params, prompt[MASK[:, row], row], keys[row], L)
        assert_close((path.xs[:, row], path.ys[:, row]), (xs, ys), 1e-12)


def test_pieces_jit_and_vmap_of_a_path():
    model, params, prompt = series_model()
    run = functools.partial(sample_path, model, params, sample=gaussian)
    whole = run(prompt, KEY, L)
    one = run(prompt, KEY, 2)
    two = jax.jit(lambda one: run(one.xs[-1:], KEY, L - 2, carry=one.carry, start=2))(one)
    assert_close(whole.xs, jnp.concatenate([one.xs, two.xs]), 1e-12)
    assert_close(whole.carry, two.carry, 1e-12)
    of_row = functools.partial(run, length=L)
    rows = jax.vmap(lambda x, k: of_row(x, k).xs, (1, 0), 1)(prompt, jax.random.split(KEY, B))
    assert_close(whole.xs, rows, 1e-12)


@pytest.mark.thorough
def test_a_path_has_a_gradient():
    model, params, prompt = series_model()

    def of_library(params):
        return jnp.sum(sample_path(model, params, prompt, KEY, 3, sample=gaussian).xs ** 2)

    def by_hand(params):
        xs, _ = jax.vmap(lambda x, k: path_by_hand(params, x, k, 3), (1, 0))(
            prompt, jax.random.split(KEY, B)
        )
        return jnp.sum(xs**2)

    assert_close(jax.jit(jax.grad(of_library))(params), jax.jit(jax.grad(by_hand))(params), 1e-10)


SYMBOLS = np.array([[0, 1, 2], [3, 0, 1], [2, 2, 77], [1, 77, 0]])
REAL = np.array([[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 1]], bool)


@functools.lru_cache
def run_scheduled(rate, sample=greedy, has_key=True):
    model, params = language_model()
    options = {"sample": sample, "mask": REAL}
    run = functools.partial(scheduled_sampling, model, params, None, SYMBOLS)
    return run(KEY if has_key else None, rate, **options)


def test_a_rate_of_zero_is_teacher_forcing():
    model, params = language_model()
    forced = jax.jit(model.apply)(params, None, SYMBOLS, mask=REAL)
    assert_close(run_scheduled(0.0), forced, 1e-5)
    assert_close(run_scheduled(0.0, has_key=False), forced, 1e-5)


@pytest.mark.parametrize("sample", [greedy, categorical()])
@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_equals_a_loop(rate, sample):
    model, params = language_model()
    carry, ys = run_scheduled(rate, sample)
    keys = jax.random.split(KEY, 3)
    apply = jax.jit(model.apply)
    for row in range(3):
        own, y, read = model.init_carry(params, jnp.asarray(SYMBOLS[:, row])), None, []
        for t in np.flatnonzero(REAL[:, row]):
            coin, key = jax.random.split(jax.random.fold_in(keys[row], int(t)))
            is_own = jax.random.uniform(coin, (), jnp.float32) < rate and y is not None
            read.append(int(sample(key, y)) if is_own else int(SYMBOLS[t, row]))
            own, y = apply(params, own, jnp.array(read[-1:]))
            y = y[0]
            np.testing.assert_allclose(ys[t, row], y, rtol=1e-5, atol=1e-6)
        assert_close(jax.tree.map(lambda x, row=row: x[row], carry), own, 1e-5)
    assert (ys[~REAL] == 0).all()


def test_layers_draw_what_they_draw_in_one_call():
    model = jaxrnn.stack(jaxrnn.rnn(jaxrnn.zoneout(jaxrnn.gru(2), 0.5)), jaxrnn.dropout(0.5))
    xs = jax.random.normal(jax.random.key(0), (5, 3, 2))
    params, key = model.init(jax.random.key(1), xs), jax.random.key(2)
    mask = jaxrnn.length_mask(jnp.array([5, 3, 4]), 5)
    got = scheduled_sampling(
        model, params, None, xs, None, 0.0, sample=lambda key, y: y, mask=mask, layer_key=key
    )
    want = model.apply(params, None, xs, mask=mask, key=key)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-12), got, want)


def test_the_gradient_flows_through_outputs_that_are_fed_back():
    model = jaxrnn.stack(jaxrnn.rnn(jaxrnn.elman(2)), jaxrnn.dense(I))
    xs = jax.random.normal(KEY, (3, B, I))
    params = model.init(KEY, xs)

    def of_library(params):
        sample = lambda key, y: y  # noqa: E731
        return jnp.sum(
            scheduled_sampling(model, params, None, xs, None, 1.0, sample=sample)[1] ** 2
        )

    def by_hand(params):
        carry, x, total = None, xs[0], 0.0
        for _ in range(3):
            carry, x = jaxrnn.step(model, params, carry, x)
            total += jnp.sum(x**2)
        return total

    assert_close(jax.jit(jax.grad(of_library))(params), jax.jit(jax.grad(by_hand))(params), 1e-10)


def test_a_rate_for_each_step():
    rates = jnp.array([0.0, 1.0, 0.0, 1.0])
    model, params = language_model()
    free = scheduled_sampling(model, params, None, SYMBOLS, KEY, rates, mask=REAL)[1]
    np.testing.assert_allclose(free[:2], run_scheduled(1.0)[1][:2], rtol=1e-6)
    jitted = jax.jit(lambda r: scheduled_sampling(model, params, None, SYMBOLS, KEY, r, mask=REAL))
    assert_close(jitted(rates)[1], free, 1e-5)


@pytest.mark.thorough
def test_a_path_of_pictures():
    """Each sequence has a key, not each pixel."""
    model = jaxrnn.rnn(jaxrnn.conv_gru(1, (2,)))
    prompt = jnp.ones((2, B, 5, 1))
    params = model.init(KEY, prompt)

    def sample(key, y):
        return y + jax.random.normal(key, (), y.dtype)

    run = functools.partial(sample_path, model, params, sample=sample, num_feature_axes=2)
    path = run(prompt, KEY, 2)
    assert path.xs.shape == (2, B, 5, 1)
    noise = path.xs - path.ys
    np.testing.assert_allclose(noise, jnp.broadcast_to(noise[:, :, :1], noise.shape), rtol=1e-9)
    alone = run(prompt[:, 1], jax.random.split(KEY, B)[1], 2)
    assert_close(path.xs[:, 1], alone.xs, 1e-12)


def test_what_is_drawn_may_not_fit_into_the_given_symbols():
    """Symbol 299 is no uint8."""
    model = jaxrnn.stack(jaxrnn.embed(300, 2), jaxrnn.rnn(jaxrnn.elman(2)), jaxrnn.dense(300))
    xs = np.zeros((3, 1), np.uint8)
    *params, last = model.init(KEY, xs)
    params = (*params, last._replace(bias=last.bias.at[299].set(100.0)))
    narrow, wide = (
        scheduled_sampling(model, params, None, x, None, 1.0)[1] for x in (xs, xs.astype(int))
    )
    np.testing.assert_array_equal(narrow, wide)
