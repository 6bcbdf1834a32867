"""Cells, models in models and layers beside recurrent ones, from and to Keras."""

import os

import numpy as np
import pytest

import jaxrnn
from jaxrnn.cells import GRUParams, LSTMParams
from jaxrnn.convert import from_keras, to_keras
from tests.convert.converting import (
    B,
    Case,
    H,
    I,
    T,
    assert_bits,
    assert_close,
    random_inputs,
    random_params,
)

os.environ.setdefault("KERAS_BACKEND", "torch")
torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
keras = pytest.importorskip("keras", reason="keras is not installed: pip install keras")

layers = keras.layers
SYMBOLS = 11


def randomize(model):
    """Draws all weights of `model`, so that no bias is zero."""
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.4, w.shape).astype(np.float32) for w in model.weights])


def inputs():
    return random_inputs(np.random.default_rng(0), np.float32)


def symbols():
    return np.random.default_rng(0).integers(0, SYMBOLS, (T, B))


def check(model, xs):
    """The outputs of `model` and of its conversion agree, also with the weights of `to_keras`."""
    model(xs.swapaxes(0, 1))
    randomize(model)
    layer, params = from_keras(model)
    ys = layer.apply(params, None, xs)[1]
    for _ in range(2):
        want = model(xs.swapaxes(0, 1)).detach().numpy().swapaxes(0, 1)
        assert_close(ys, want, 1e-6)
        model.set_weights(to_keras(params))
    assert_bits(from_keras(model).params, params)
    return layer


def rnn(*cells):
    return layers.RNN(cells[0] if len(cells) == 1 else list(cells), return_sequences=True)


CELLS = {
    "LSTMCell": (lambda: rnn(layers.LSTMCell(H)), jaxrnn.lstm(H)),
    "GRUCell": (lambda: rnn(layers.GRUCell(H)), jaxrnn.gru(H)),
    "GRUCell, before": (
        lambda: rnn(layers.GRUCell(H, reset_after=False)),
        jaxrnn.gru(H, reset_after=False),
    ),
    "SimpleRNNCell": (lambda: rnn(layers.SimpleRNNCell(H)), jaxrnn.elman(H)),
    "without biases": (
        lambda: rnn(layers.GRUCell(H, use_bias=False)),
        jaxrnn.gru(H, use_bias=False),
    ),
}


@pytest.mark.parametrize(("make", "cell"), CELLS.values(), ids=CELLS)
def test_cells(make, cell):
    assert check(make(), inputs()) == jaxrnn.rnn(cell)


def test_stacked_cells():
    cells = layers.LSTMCell(H), layers.GRUCell(4), layers.SimpleRNNCell(3)
    found = check(rnn(*cells), inputs())
    ours = jaxrnn.lstm(H), jaxrnn.gru(4), jaxrnn.elman(3)
    assert found == jaxrnn.stack(*map(jaxrnn.rnn, ours))
    found = check(rnn(layers.StackedRNNCells([layers.LSTMCell(H), layers.LSTMCell(3)])), inputs())
    assert found == jaxrnn.stack(*map(jaxrnn.rnn, (jaxrnn.lstm(H), jaxrnn.lstm(3))))


def test_bidirectional_cell():
    layer = layers.Bidirectional(rnn(layers.LSTMCell(H)))
    assert check(layer, inputs()) == jaxrnn.bidirectional(jaxrnn.lstm(H), jaxrnn.lstm(H))


FUNCTIONS = ["relu", "sigmoid", "linear", "elu", "selu", "softplus", "softsign", "silu"]


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_activations(activation):
    """The activation of an LSTM is that of its candidate and of its output."""
    gates = "hard_sigmoid"
    for kind in (layers.LSTM, layers.GRU):
        layer = kind(H, activation=activation, recurrent_activation=gates, return_sequences=True)
        check(layer, inputs())


def tagger():
    return keras.Sequential(
        [
            layers.Embedding(SYMBOLS, I),
            keras.Sequential(
                [
                    layers.Bidirectional(layers.LSTM(H, return_sequences=True)),
                    layers.Dropout(0.3),
                ]
            ),
            layers.TimeDistributed(layers.Dense(4, use_bias=False)),
            layers.GRU(H, return_sequences=True),
            layers.Dense(3),
        ]
    )


def functional():
    start = keras.Input((None,), dtype="int32")
    ys = layers.Embedding(SYMBOLS, I)(start)
    inner = keras.Sequential([layers.LSTM(H, return_sequences=True), layers.Dense(4)])
    ys = layers.Dropout(0.3)(inner(ys))
    side = keras.Input((None, 4))
    ys = keras.Model(side, layers.GRU(H, return_sequences=True)(side))(ys)
    return keras.Model(start, layers.Dense(3)(ys))


def test_a_model():
    found = check(tagger(), symbols())
    assert found == jaxrnn.stack(
        jaxrnn.embed(SYMBOLS, I),
        jaxrnn.bidirectional(jaxrnn.lstm(H), jaxrnn.lstm(H)),
        jaxrnn.dropout(0.3),
        jaxrnn.dense(4, use_bias=False),
        jaxrnn.rnn(jaxrnn.gru(H)),
        jaxrnn.dense(3),
    )


def test_a_functional_model():
    found = check(functional(), symbols())
    assert found == jaxrnn.stack(
        jaxrnn.embed(SYMBOLS, I),
        jaxrnn.rnn(jaxrnn.lstm(H)),
        jaxrnn.dense(4),
        jaxrnn.dropout(0.3),
        jaxrnn.rnn(jaxrnn.gru(H)),
        jaxrnn.dense(3),
    )


def test_the_last_step_of_a_classifier():
    model = keras.Sequential([layers.LSTM(H), layers.Dense(3)])
    xs = inputs()
    want = model(xs.swapaxes(0, 1)).detach().numpy()
    layer, params = from_keras(model)
    assert_close(layer.apply(params, None, xs)[1][-1], want, 1e-6)


@pytest.mark.parametrize(("cell", "gates"), [(GRUParams, 3), (LSTMParams, 4)])
def test_weights_of_cudnn_layers(cell, gates):
    """Each gate's kernel (I, H) holds a matrix (H, I) row by row, and both biases are in a row."""
    params = random_params(Case(cell, layers=1), np.random.default_rng(0), np.float32)
    kernel, recurrent_kernel, bias = to_keras(params)

    def stored(array):
        blocks = np.split(array, gates, axis=1)
        return np.concatenate([b.T.ravel().reshape(b.shape) for b in blocks], axis=1)

    bias = bias.ravel() if gates == 3 else np.concatenate([bias, np.full_like(bias, -0.0)])
    assert bias.shape == (2 * gates * H,)
    arrays = {"kernel": stored(kernel), "recurrent_kernel": stored(recurrent_kernel), "bias": bias}
    assert_bits(from_keras(arrays).params, params)


def branches():
    start = keras.Input((None, I))
    a = layers.LSTM(H, return_sequences=True, name="left")(start)
    b = layers.LSTM(H, return_sequences=True, name="right")(start)
    return keras.Model(start, layers.Add()([a, b]))


def with_states():
    start = keras.Input((None, I))
    _, h, c = layers.LSTM(H, return_sequences=True, return_state=True, name="left")(start)
    ys = layers.LSTM(H, return_sequences=True, name="right")(start, initial_state=[h, c])
    return keras.Model(start, ys)


class OwnCell(layers.Layer):
    state_size = output_size = I

    def call(self, inputs, states):
        return inputs + states[0], [inputs]


def built(*parts, shape=(None, None, I)):
    model = keras.Sequential(parts)
    model.build(shape)
    return model


class Custom(keras.Model):
    pass


BAD = {
    "branches": (branches, ValueError, r"`right` \(LSTM\) reads .* not the first output of 'left'"),
    "a carry that is handed on": (with_states, ValueError, r"`right` \(LSTM\) reads \['.*', 'left"),
    "a subclass": (lambda: Custom(name="mine"), TypeError, r"`mine` \(Custom\) is a subclass"),
    "an activation": (
        lambda: built(layers.LSTM(H), layers.Dense(3, activation="softmax", name="top")),
        ValueError,
        r"`top` \(Dense\) has the activation softmax",
    ),
    "a layer that jaxrnn has not": (
        lambda: built(layers.LSTM(H), layers.LayerNormalization(name="norm")),
        TypeError,
        r"`norm` \(LayerNormalization\) has no jaxrnn layer",
    ),
    "both ends of a sequence": (
        lambda: built(layers.Bidirectional(layers.LSTM(H), name="both"), layers.Dense(3)),
        ValueError,
        r"`both` \(Bidirectional\) hands the layer after it the last outputs",
    ),
    "layers that do not connect": (
        lambda: [*built(layers.LSTM(H, name="a")).layers, *built(layers.LSTM(H, name="b")).layers],
        ValueError,
        r"`a` \(LSTM\) returns 5 features, but `b` \(LSTM\) expects 3 features",
    ),
    "a cell of another kind": (
        lambda: built(layers.RNN(OwnCell(), name="own")),
        TypeError,
        r"`own` \(RNN\) has the cell OwnCell",
    ),
    "stacked cells in both directions": (
        lambda: built(layers.Bidirectional(rnn(layers.LSTMCell(H), layers.LSTMCell(H)), name="b")),
        ValueError,
        r"`b` \(Bidirectional\) has a StackedRNNCells in each direction",
    ),
}


@pytest.mark.parametrize(("make", "error", "message"), BAD.values(), ids=BAD)
def test_bad_networks(make, error, message):
    with pytest.raises(error, match=message):
        from_keras(make())
