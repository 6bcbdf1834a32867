"""Long sequences: rematerialized, truncated, and with every carry kept."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.compiled import hlo
from tests.laws.tables import B, H, I, T, assert_close, assert_same, cell_example, noisy, total

LSTM = jaxrnn.rnn(jaxrnn.lstm(H))
DEEP = jaxrnn.stack(LSTM, jaxrnn.dropout(0.3), jaxrnn.rnn(jaxrnn.gru(3)))
KEY = jax.random.key(5)


def example(layer, num_steps=T):
    xs = jax.random.normal(jax.random.key(0), (num_steps, B, I))
    params = noisy(layer.init(jax.random.key(1), xs), jax.random.key(2))
    mask = jaxrnn.length_mask(jnp.array([num_steps, 0, num_steps // 2]), num_steps)
    resets = jax.random.bernoulli(jax.random.key(3), 0.2, (num_steps, B))
    return params, xs, {"mask": mask, "resets": resets, "key": KEY}


def value_and_gradient(layer, params, xs, **options):
    def loss(params, xs):
        out = layer.apply(params, None, xs, **options)
        return total(out), out

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(params, xs)


@pytest.fixture(scope="module")
def plain():
    params, xs, options = example(DEEP, 11)
    return value_and_gradient(DEEP, params, xs, **options)


@pytest.mark.parametrize("chunk", [pytest.param("sqrt", marks=pytest.mark.thorough), 100])
def test_remat_changes_no_value_and_no_gradient(chunk, plain):
    params, xs, options = example(DEEP, 11)
    actual = value_and_gradient(jaxrnn.remat(DEEP, chunk=chunk), params, xs, **options)
    assert_close(actual, plain, 1e-12)


@pytest.mark.thorough
def test_chunks_within_chunks(plain):
    params, xs, options = example(DEEP, 11)
    nested = jaxrnn.remat(jaxrnn.remat(DEEP, chunk=2), chunk=5)
    actual = value_and_gradient(nested, params, xs, **options)
    assert_close(actual, plain, 1e-12)


def temporaries(layer, num_steps):
    """The compiler's count of bytes for temporaries, of a gradient through the last carry."""
    xs = jax.ShapeDtypeStruct((num_steps, 32, 256), jnp.float32)
    params = jax.eval_shape(layer.init, KEY, xs)

    def loss(params, xs):
        carry, _ = layer.apply(params, None, xs)
        return jnp.sum(carry.h**2)

    compiled = jax.jit(jax.grad(loss)).lower(params, xs).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_remat_needs_a_fifteenth_of_the_memory():
    layer = jaxrnn.rnn(jaxrnn.lstm(256))
    assert temporaries(jaxrnn.remat(layer), 4096) < temporaries(layer, 4096) / 15


def test_a_hundred_thousand_steps_fit_in_two_gib():
    layer = jaxrnn.remat(jaxrnn.rnn(jaxrnn.lstm(256)))
    assert temporaries(layer, 100_000) < 2 * 2**30


@pytest.mark.thorough
def test_truncation_changes_no_value():
    params, xs, options = example(DEEP, 11)
    cut = jaxrnn.truncate(DEEP, 4)
    for carry in (None, noisy(DEEP.init_carry(params, xs), KEY)):
        actual = cut.apply(params, carry, xs, **options)
        assert_close(actual, DEEP.apply(params, carry, xs, **options), 1e-13)


def test_no_gradient_crosses_from_one_stretch_to_the_stretch_before():
    params, xs, _ = example(LSTM, 10)

    def late(xs):
        carry, ys = jaxrnn.truncate(LSTM, 4).apply(params, None, xs)
        return total((carry, ys[8:]))

    grad = np.asarray(jax.grad(late)(xs))
    assert (grad[:8] == 0).all()
    assert np.abs(grad[8:]).min() > 0


def test_the_gradient_of_a_truncated_run_is_the_sum_over_its_stretches():
    params, xs, _ = example(LSTM, 10)

    def loss(params):
        return total(jaxrnn.truncate(LSTM, 4).apply(params, None, xs)[1])

    def by_hand(params):
        carry, ys = LSTM.init_carry(params, xs), []
        for start in (0, 4, 8):
            carry, y = LSTM.apply(params, carry, xs[start : start + 4])
            carry, ys = jax.lax.stop_gradient(carry), [*ys, y]
        return total(jnp.concatenate(ys))

    assert_close(jax.jit(jax.grad(loss))(params), jax.grad(by_hand)(params), 1e-13)


def test_a_given_carry_has_the_gradient_of_the_first_stretch():
    params, xs, _ = example(LSTM, 10)
    carry = noisy(LSTM.init_carry(params, xs), KEY)

    def loss(layer, carry, xs):
        return total(layer.apply(params, carry, xs)[1][:4])

    cut = jax.grad(functools.partial(loss, jaxrnn.truncate(LSTM, 4)))(carry, xs)
    assert_close(cut, jax.grad(functools.partial(loss, LSTM))(carry, xs[:4]), 1e-13)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", [jaxrnn.lstm(H), jaxrnn.gru(H, reset_after=False)])
def test_every_carry_is_emitted(cell, reverse):
    ex = cell_example(cell)
    run = functools.partial(jaxrnn.unroll, cell, ex.params, reverse=reverse)
    carry, (ys, carries) = jaxrnn.unroll(
        jaxrnn.emit_carry(cell), ex.params, ex.carry, ex.xs, reverse=reverse
    )
    assert_close((carry, ys), run(ex.carry, ex.xs), 1e-13)
    last = 0 if reverse else T - 1
    assert_same(jax.tree.map(lambda leaf: leaf[last], carries), carry)
    at = functools.partial(jax.tree.map, lambda leaf: leaf[3])
    rest = ex.xs[:3] if reverse else ex.xs[4:]
    assert_close(run(at(carries), rest)[0], carry, 1e-13)


def test_a_carry_emitted_at_a_reset_is_one_step_from_the_initial_carry():
    cell = jaxrnn.lstm(H)
    ex = cell_example(cell)
    resets = jnp.zeros((T, B), bool).at[3].set(True)
    _, (_, carries) = jaxrnn.unroll(
        jaxrnn.emit_carry(cell), ex.params, ex.carry, ex.xs, resets=resets
    )
    after, _ = jaxrnn.step(cell, ex.params, cell.init_carry(ex.params, ex.xs[3]), ex.xs[3])
    assert_close(jax.tree.map(lambda leaf: leaf[3], carries), after, 1e-13)


def test_the_program_of_a_truncated_run_does_not_grow_with_the_sequence():
    def lines(num_steps):
        params, xs, _ = example(LSTM, num_steps)
        run = functools.partial(jaxrnn.truncate(LSTM, 4).apply, params, None)
        return len(hlo(run, xs).splitlines())

    assert abs(lines(8) - lines(800)) < 0.05 * lines(8)
