"""Resets for each leaf of the carry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import (
    B,
    H,
    I,
    T,
    assert_close,
    assert_same,
    cell_example,
    leaky,
    total,
    whole,
)

KEY = jax.random.key(5)
LSTM = jaxrnn.lstm(H)
CELL = jaxrnn.reset_leaves(LSTM)


def leaf_resets(seed=0):
    """One bool (T, B) for each leaf of the carry of an LSTM."""
    draws = np.random.default_rng(seed).random((2, T, B)) < 0.3
    return jaxrnn.LSTMCarry(*map(jnp.asarray, draws))


@pytest.mark.parametrize("implementation", ["scan", "xla"])
@pytest.mark.parametrize("is_learned", [False, True])
def test_a_leaf_that_is_reset_begins_anew_and_the_other_goes_on(implementation, is_learned):
    inner = jaxrnn.learned_carry(LSTM) if is_learned else LSTM
    ex, resets = cell_example(inner), leaf_resets()
    initial = inner.init_carry(ex.params, ex.xs[0])

    def by_hand(params, carry, xs):
        ys = []
        for x, *flags in zip(xs, *resets, strict=True):
            h, c = (
                jnp.where(flag[:, None], start, leaf)
                for flag, start, leaf in zip(flags, initial, carry, strict=True)
            )
            carry, y = jaxrnn.step(inner, params, jaxrnn.LSTMCarry(h, c), x)
            ys.append(y)
        return carry, jnp.stack(ys)

    xs = jaxrnn.WithResets(ex.xs, resets)
    cell = jaxrnn.reset_leaves(inner)
    run = jaxrnn.unroll(cell, ex.params, ex.carry, xs, implementation=implementation)
    assert_close(run, by_hand(ex.params, ex.carry, ex.xs), 1e-14)


def test_resets_of_all_leaves_are_the_resets_of_the_layer():
    ex = cell_example(LSTM)
    xs = jaxrnn.WithResets(ex.xs, jaxrnn.LSTMCarry(ex.resets, ex.resets))

    def loss(params, carry, cell, xs, **flags):
        return total(jaxrnn.unroll(cell, params, carry, xs, mask=ex.mask, **flags))

    gradient = jax.value_and_grad(loss, (0, 1))
    expected = gradient(ex.params, ex.carry, LSTM, ex.xs, resets=ex.resets)
    assert_close(gradient(ex.params, ex.carry, CELL, xs), expected, 1e-14)


def test_no_gradient_crosses_the_reset_of_a_leaf():
    ex = cell_example(LSTM)
    never, at_first = jnp.zeros((T, B), bool), jnp.arange(T)[:, None] == jnp.zeros((B,), int)

    def loss(carry):
        xs = jaxrnn.WithResets(ex.xs, jaxrnn.LSTMCarry(h=never, c=at_first))
        return total(jaxrnn.unroll(CELL, ex.params, carry, xs))

    gradient = jax.grad(loss)(ex.carry)
    assert not gradient.c.any()
    assert gradient.h.all()


@pytest.mark.thorough
def test_layers_chunks_noise_and_single_steps():
    cell = jaxrnn.reset_leaves(jaxrnn.zoneout(LSTM, 0.4))
    layer = jaxrnn.remat(jaxrnn.stack(jaxrnn.rnn(cell), jaxrnn.dense(2)), chunk=3)
    xs = jaxrnn.WithResets(cell_example(LSTM).xs, leaf_resets())
    params = layer.init(KEY, xs)
    whole_run = layer.apply(params, None, xs, key=KEY)
    first, rest = (
        jax.tree.map(lambda x, part=part: x[part], xs) for part in (slice(2), slice(2, T))
    )
    carry, ys = layer.apply(params, None, first, key=KEY)
    carry, more = layer.apply(params, carry, rest, key=KEY)
    assert_close((carry, jnp.concatenate([ys, more])), whole_run, 1e-14)
    carry, steps = None, []
    for t in range(T):
        x = jax.tree.map(lambda leaf, t=t: leaf[t], xs)
        carry, y = jaxrnn.step(layer, params, carry, x, key=KEY)
        steps.append(y)
    assert_close((carry, jnp.stack(steps)), whole_run, 1e-14)


def test_a_whole_step_and_one_sequence_under_vmap():
    cell = jaxrnn.reset_leaves(whole())
    ex = cell_example(whole())
    xs = jaxrnn.WithResets(ex.xs, jaxrnn.HiddenCarry(ex.resets))
    expected = jaxrnn.unroll(whole(), ex.params, ex.carry, ex.xs, resets=ex.resets)
    assert_close(jaxrnn.unroll(cell, ex.params, ex.carry, xs), expected, 1e-14)
    each = jax.vmap(lambda c, x: jaxrnn.unroll(cell, ex.params, c, x), (0, 1), (0, 1))
    assert_close(each(ex.carry, xs), expected, 1e-14)


def test_an_output_that_reads_the_projected_input():
    ex = cell_example(leaky())
    resets = type(ex.carry)(ex.resets, ex.resets)
    run = jaxrnn.unroll(
        jaxrnn.reset_leaves(leaky()), ex.params, ex.carry, jaxrnn.WithResets(ex.xs, resets)
    )
    assert_close(run, jaxrnn.unroll(leaky(), ex.params, ex.carry, ex.xs, resets=ex.resets), 1e-14)


def test_masked_steps_reset_nothing():
    ex = cell_example(LSTM)
    always = jnp.ones((T, B), bool)
    xs = jaxrnn.WithResets(ex.xs, jaxrnn.LSTMCarry(always, always))
    carry, _ = jaxrnn.unroll(CELL, ex.params, ex.carry, xs, mask=~always)
    assert_same(carry, ex.carry)


XS = jax.ShapeDtypeStruct((T, B, I), jnp.float64)
FLAG = jax.ShapeDtypeStruct((T, B), jnp.bool_)
WRONG = {
    "inputs alone": (XS, TypeError, "must be `jaxrnn.WithResets"),
    "one array": (jaxrnn.WithResets(XS, FLAG), ValueError, "must have the structure of the carry"),
    "numbers": (
        jaxrnn.WithResets(XS, jaxrnn.LSTMCarry(FLAG, jax.ShapeDtypeStruct((T, B), jnp.float64))),
        TypeError,
        "must be bool, got float64",
    ),
    "features": (
        jaxrnn.WithResets(XS, jaxrnn.LSTMCarry(FLAG, jax.ShapeDtypeStruct((T, B, H), jnp.bool_))),
        ValueError,
        "must have the batch axes",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_inputs(wrong):
    xs, error, message = WRONG[wrong]
    params = LSTM.init(KEY, jax.ShapeDtypeStruct((I,), jnp.float64))
    xs = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), xs)
    with pytest.raises(error, match=message):
        jaxrnn.unroll(CELL, params, None, xs)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda cell: jaxrnn.zoneout(cell, 0.1),
        lambda cell: jaxrnn.clip_carry_gradient(jaxrnn.state_dropout(cell, 0.1), 1.0),
        jaxrnn.learned_carry,
        lambda cell: jaxrnn.attention(cell, 3, feed_back=True),
    ],
)
def test_wrappers_that_read_the_carry_before_the_step_go_inside(wrap):
    x = jaxrnn.WithResets(
        jax.ShapeDtypeStruct((B, I), jnp.float64),
        jaxrnn.LSTMCarry(*(jax.ShapeDtypeStruct((B,), jnp.bool_) for _ in range(2))),
    )
    with pytest.raises(ValueError, match="must be inside `reset_leaves`"):
        wrap(CELL).init(KEY, x)
