"""Connections that pass layers by: the equations of residual, highway and skip."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxrnn
from tests.laws.tables import LAYERS, B, H, I, T, assert_close, assert_same, layer_example

KEY = jax.random.key(0)


def test_residual_adds_the_input():
    inner = jaxrnn.rnn(jaxrnn.lstm(I))
    ex = layer_example(LAYERS["residual"])
    carry, ys = jaxrnn.residual(inner).apply(ex.params, ex.carry, ex.xs)
    want_carry, want = inner.apply(ex.params, ex.carry, ex.xs)
    assert_same((carry, ys), (want_carry, ex.xs + want))


def test_highway_is_a_gate_between_output_and_input():
    inner = jaxrnn.rnn(jaxrnn.lstm(I))
    layer = jaxrnn.highway(inner)
    ex = layer_example(LAYERS["highway"]._replace(layer=layer))
    carry, ys = layer.apply(ex.params, ex.carry, ex.xs)
    want_carry, inside = inner.apply(ex.params.layer, ex.carry, ex.xs)
    t = 1 / (1 + np.exp(-(np.asarray(ex.xs) @ ex.params.kernel + ex.params.bias)))
    assert_close((carry, ys), (want_carry, jnp.array(t * inside + (1 - t) * ex.xs)), 1e-12)
    # At first most of the input passes.
    assert (layer.init(KEY, ex.xs).bias == -1).all()


def test_skip_hands_the_input_to_every_layer_and_every_output_on():
    layers = jaxrnn.rnn(jaxrnn.lstm(H)), jaxrnn.dense(2), jaxrnn.rnn(jaxrnn.elman(3))
    layer = jaxrnn.skip_stack(*layers)
    ex = layer_example(LAYERS["skip"]._replace(layer=layer))
    carry, ys = layer.apply(ex.params, ex.carry, ex.xs, mask=ex.mask, resets=ex.resets)
    inputs, carries, outputs = ex.xs, [], []
    for one, params, start in zip(layers, ex.params, ex.carry, strict=True):
        new, y = one.apply(params, start, inputs, mask=ex.mask, resets=ex.resets)
        inputs = jnp.concatenate([ex.xs, y], axis=-1)
        carries.append(new)
        outputs.append(y)
    assert_close((carry, ys), (tuple(carries), jnp.concatenate(outputs, axis=-1)), 1e-13)
    assert ys.shape == (T, B, H + 2 + 3)


def test_layers_draw_their_own_numbers():
    layer = jaxrnn.skip_stack(jaxrnn.dropout(0.5), jaxrnn.dropout(0.5))
    xs = jnp.ones((T, B, 64))
    _, ys = layer.apply(layer.init(KEY, xs), None, xs, key=KEY)
    first, _, second = jnp.split(ys, 3, axis=-1)
    assert (first > 0).any()
    assert ((first > 0) != (second > 0)).any()


def test_init_traces_no_loop(monkeypatch):
    inner = jaxrnn.skip_stack(jaxrnn.rnn(jaxrnn.lstm(I)), jaxrnn.bidirectional(jaxrnn.gru(2)))
    layer = jaxrnn.residual(jaxrnn.highway(jaxrnn.stack(inner, jaxrnn.dense(I))))
    monkeypatch.setattr(jax.lax, "scan", None)
    params = layer.init(KEY, jax.ShapeDtypeStruct((T, B, I), jnp.float32))
    layer.init_carry(params, jax.ShapeDtypeStruct((T, B, I), jnp.float32))
