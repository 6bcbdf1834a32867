"""Cells and layers from equal calls are equal, compile once, and show how they were made."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.compiled import compilations
from tests.laws.tables import B, H, I, T

XS = jnp.ones((T, B, I))


def model():
    return jaxrnn.stack(
        jaxrnn.embed(66, 64),
        jaxrnn.residual(jaxrnn.rnn(jaxrnn.zoneout(jaxrnn.lstm(64), jaxrnn.LSTMCarry(h=0.1, c=0)))),
        jaxrnn.bidirectional(jaxrnn.gru(8, reset_after=False), merge="sum"),
        jaxrnn.remat(jaxrnn.rnn(jaxrnn.elman(4, jax.nn.relu)), chunk=3),
        jaxrnn.pool_last,
        jaxrnn.dense(66),
    )


def test_equal_calls_make_equal_things():
    assert jaxrnn.lstm(4) == jaxrnn.lstm(hidden_size=4)
    assert hash(jaxrnn.lstm(4)) == hash(jaxrnn.lstm(4))
    assert model() == model()
    assert jaxrnn.lstm(4) != jaxrnn.lstm(5)
    assert jaxrnn.lstm(4) != jaxrnn.gru(4)
    assert jaxrnn.zoneout(jaxrnn.lstm(4), 0.1) != jaxrnn.zoneout(jaxrnn.lstm(4), 0.2)
    orthogonal = jaxrnn.initializers.orthogonal
    assert jaxrnn.gru(4, kernel_init=orthogonal(3)) == jaxrnn.gru(4, kernel_init=orthogonal(3))


def test_what_has_a_state_of_its_own_equals_only_itself():
    def scaled(factor):
        return jaxrnn.elman(4, lambda x: factor * jnp.tanh(x))

    two = jnp.array(2.0)
    one = scaled(two)
    assert one == one
    assert scaled(two) != scaled(two)
    assert jaxrnn.rnn(one) != jaxrnn.rnn(scaled(two))
    assert len({one, scaled(two), jaxrnn.elman(4)}) == 3


def test_replaced_functions_count():
    def update(params, carry, u, v):
        return carry

    cell = jaxrnn.lstm(4)
    assert cell._replace(update=update) == jaxrnn.lstm(4)._replace(update=update)
    assert cell._replace(update=update) != cell
    assert repr(cell._replace(update=update)) == "lstm(4)._replace(update=update)"


def test_repr_reads_like_the_code_that_made_it():
    assert repr(jaxrnn.lstm(64)) == "lstm(64)"
    assert repr(jaxrnn.gru(4, reset_after=True)) == "gru(4)"
    assert repr(model()) == (
        "stack(embed(66, 64), "
        "residual(rnn(zoneout(lstm(64), LSTMCarry(h=0.1, c=0)))), "
        "bidirectional(gru(8, reset_after=False), merge='sum'), "
        "remat(rnn(elman(4, relu)), chunk=3), pool_last, dense(66))"
    )
    bias = jaxrnn.initializers.chrono(100)
    assert repr(jaxrnn.lstm(4, bias_init=bias)) == "lstm(4, bias_init=chrono(100))"


def test_a_second_run_of_an_equal_cell_compiles_nothing():
    params = jaxrnn.gru(H).init(jax.random.key(0), XS[0])
    jaxrnn.unroll(jaxrnn.gru(H), params, None, XS)
    with compilations() as compiled:
        jaxrnn.unroll(jaxrnn.gru(H), params, None, XS)
        jaxrnn.unroll(jaxrnn.gru(hidden_size=H), params, None, XS + 1)
    assert len(compiled) <= 1  # the sum


def test_a_cell_of_a_user_is_made_equal_by_the_decorator():
    @jaxrnn.constructor
    def leaky(size, leak=0.5):
        cell = jaxrnn.elman(size)

        def update(params, carry, u, v):
            return jaxrnn.HiddenCarry((1 - leak) * carry.h + leak * jnp.tanh(u + v))

        return cell._replace(update=update)

    assert leaky(4) == leaky(4, 0.5)
    assert leaky(4) != leaky(4, 0.25)
    assert repr(leaky(4, leak=0.25)) == "leaky(4, 0.25)"


def test_the_decorator_refuses_what_makes_no_cell_and_no_layer():
    with pytest.raises(TypeError, match="`build` must be a function"):
        jaxrnn.constructor(jaxrnn.lstm(4))
    with pytest.raises(TypeError, match="`build` must return a Cell or a Layer, got int"):
        jaxrnn.constructor(lambda size: size)(4)


def copied():
    cell = jaxrnn.zoneout(jaxrnn.gru(4, reset_after=False), 0.1)
    return jaxrnn.stack(jaxrnn.residual(jaxrnn.rnn(cell)), jaxrnn.pool_last, jaxrnn.dense(2))


@pytest.mark.parametrize("thing", [jaxrnn.lstm(4), copied(), jaxrnn.attention_pool(3)], ids=repr)
def test_things_pickle_and_copy(thing):
    assert pickle.loads(pickle.dumps(thing)) == thing
    assert copy.deepcopy(thing) == thing


def counted(calls):
    """A gated cell that counts how often it is traced."""
    cell = jaxrnn.elman(I)

    def update(params, carry, u, v):
        calls.append(1)
        return cell.update(params, carry, u, v)

    return cell._replace(update=update)


NESTED = {
    "deep residual": lambda rnn: jaxrnn.residual(
        jaxrnn.residual(jaxrnn.residual(jaxrnn.residual(rnn)))
    ),
    "mixed": lambda rnn: jaxrnn.stack(
        jaxrnn.residual(jaxrnn.stack(rnn, jaxrnn.dense(I))), jaxrnn.highway(jaxrnn.dense(I))
    ),
    "chunks": lambda rnn: jaxrnn.stack(jaxrnn.remat(jaxrnn.residual(rnn)), jaxrnn.dense(2)),
}


@pytest.mark.parametrize("nest", NESTED)
def test_shapes_are_inferred_once(nest):
    """By `init`, however deep the cell is nested."""
    calls = []
    model = NESTED[nest](jaxrnn.rnn(counted(calls)))
    model.init(jax.random.key(0), XS)
    assert 1 <= len(calls) <= 3


def test_a_bidirectional_stack_infers_the_shapes_of_each_direction_once():
    calls = []
    cell = counted(calls)
    both = jaxrnn.bidirectional(cell, merge="sum")
    model = jaxrnn.stack(jaxrnn.residual(jaxrnn.stack(both, jaxrnn.dense(I))))
    model.init(jax.random.key(0), XS)
    assert 1 <= len(calls) <= 3


def test_an_eager_call_of_a_known_layer_traces_nothing():
    layer = jaxrnn.stack(jaxrnn.residual(jaxrnn.rnn(jaxrnn.gru(I))), jaxrnn.dense(2))
    params = layer.init(jax.random.key(0), XS)
    carry, _ = layer.apply(params, layer.init_carry(params, XS), XS)
    with compilations() as compiled:
        _, ys = layer.apply(params, carry, XS)
    assert compiled == []
    assert np.isfinite(ys).all()


def test_a_copy_field_by_field_is_still_known():
    """As Flax makes one of a module's attributes."""
    cell = jaxrnn.lstm(4)
    copied = type(cell)(*cell)
    assert copied == cell
    assert repr(copied) == "lstm(4)"
    assert type(cell)(*cell[:5]) != jaxrnn.attention(cell, 4)


@jaxrnn.constructor
def halved(size=4, rate=0.1, activation=jnp.tanh):
    return jaxrnn.elman(size, activation)


def test_an_argument_that_equals_its_default_is_left_out():
    assert repr(halved(2 + 2, float("0.1"), jnp.tanh)) == "halved()"
    assert repr(halved(5, rate=float("0.2"))) == "halved(5, 0.2)"
