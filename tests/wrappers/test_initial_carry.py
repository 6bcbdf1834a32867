"""Initial carries that are learned, and with noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import B, H, I, T, assert_close, assert_same, leaky, total

XS = jax.random.normal(jax.random.key(0), (T, B, I), jnp.float64)
KEY = jax.random.key(1)


def test_a_learned_carry_starts_as_that_of_the_cell_and_is_shared():
    cell = jaxrnn.learned_carry(leaky())
    params = cell.init(KEY, XS[0])
    assert_same(cell.init_carry(params, XS[0]), leaky().init_carry(params.params, XS[0]))
    assert params.carry.steps is None  # a counter is not learned
    moved = params._replace(carry=params.carry._replace(h=jnp.arange(H, dtype=jnp.float64)))
    carry = cell.init_carry(moved, XS[0])
    np.testing.assert_array_equal(carry.h, np.broadcast_to(np.arange(H), (B, H)))


def test_a_learned_carry_gets_the_gradient_of_every_row_and_reset():
    learned, plain = jaxrnn.learned_carry(jaxrnn.gru(H)), jaxrnn.gru(H)
    params = learned.init(KEY, XS[0])
    resets = jnp.zeros((T, B), bool).at[3, 1].set(True)

    def loss(params):
        return total(jaxrnn.unroll(learned, params, None, XS, resets=resets)[1])

    def apart(carry):
        """The pieces between resets, each from the carry in question."""
        rows = [XS[:, :1], XS[:3, 1:2], XS[3:, 1:2], XS[:, 2:]]
        ys = [
            jaxrnn.unroll(plain, params.params, jaxrnn.HiddenCarry(carry[None]), xs)[1]
            for xs in rows
        ]
        return total(jnp.concatenate([ys[0], jnp.concatenate(ys[1:3]), ys[3]], axis=1))

    actual = jax.jit(jax.grad(loss))(params).carry.h
    assert_close(actual, jax.jit(jax.grad(apart))(params.carry.h), 1e-12)


def test_noise_comes_only_with_a_key_and_without_a_carry():
    layer = jaxrnn.noisy_carry(jaxrnn.rnn(jaxrnn.lstm(H)), 0.5)
    params = layer.init(KEY, XS)
    none = XS[:0]
    plain = layer.init_carry(params, XS)
    assert_same(layer.apply(params, None, none)[0], plain)
    assert_same(layer.apply(params, plain, none, key=KEY)[0], plain)
    drawn, _ = layer.apply(params, None, none, key=KEY)
    assert all((leaf != 0).all() for leaf in jax.tree.leaves(drawn))
    assert (drawn.h != drawn.c).any()


def test_noise_moves_the_state_and_what_is_read_of_it_alike():
    layer = jaxrnn.noisy_carry(jaxrnn.rnn(jaxrnn.state_dropout(jaxrnn.gru(H), 0.2)), 0.5)
    carry, _ = layer.apply(layer.init(KEY, XS), None, XS[:0], key=KEY)
    np.testing.assert_array_equal(carry.carry.carry.h, carry.carry.dropped.h)
    assert (carry.carry.dropped.h != 0).all()


def test_noise_has_the_standard_deviation():
    layer = jaxrnn.noisy_carry(jaxrnn.rnn(jaxrnn.gru(50)), 0.5)
    xs = jnp.zeros((0, 200, I))
    carry, _ = layer.apply(layer.init(KEY, xs), None, xs, key=KEY)
    assert abs(float(carry.h.std()) - 0.5) < 0.02
    assert abs(float(carry.h.mean())) < 0.02


def test_noise_is_drawn_inside_of_layers_that_run_in_chunks():
    layer = jaxrnn.noisy_carry(jaxrnn.rnn(jaxrnn.gru(H)), 0.5)
    params = layer.init(KEY, XS)
    want = layer.apply(params, None, XS, key=KEY)
    assert_close(jaxrnn.remat(layer, chunk=3).apply(params, None, XS, key=KEY), want, 1e-13)
    assert_close(jaxrnn.truncate(layer, 3).apply(params, None, XS, key=KEY), want, 1e-13)


def test_the_input_of_one_array_must_have_features():
    with pytest.raises(TypeError, match="`x` must be floating, got int32"):
        jaxrnn.learned_carry(leaky()).init(KEY, jnp.ones((B, I), jnp.int32))
