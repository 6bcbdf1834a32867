"""Weights from and to Keras 3."""

import os

import numpy as np
import pytest

from jaxrnn.cells import ElmanParams, GRUParams, LSTMParams, ResetBeforeGRUParams
from jaxrnn.convert import from_keras, to_keras
from tests.convert.converting import (
    Case,
    H,
    I,
    Peer,
    assert_bits,
    assert_close,
    check_conversion,
    check_narrow_round_trip,
    check_outputs,
    loss_weights,
    random_inputs,
    random_params,
    without_biases,
)

os.environ.setdefault("KERAS_BACKEND", "torch")  # so that its gradients are independent of JAX
torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
keras = pytest.importorskip("keras", reason="keras is not installed: pip install keras")

LAYERS = {
    LSTMParams: ("LSTM", {}),
    GRUParams: ("GRU", {}),
    ResetBeforeGRUParams: ("GRU", {"reset_after": False}),
    ElmanParams: ("SimpleRNN", {}),
}
every_cell = pytest.mark.parametrize("cell", LAYERS, ids=lambda cell: cell.__name__)


def layer_of(cell, directions=1, merge="concat", dtype="float64", **options):
    kind, fixed = LAYERS[cell]
    options = (
        {"return_sequences": True, "dtype": dtype, "recurrent_initializer": "zeros"}
        | fixed
        | options
    )
    layer = getattr(keras.layers, kind)(H, **options)
    if directions == 1:
        return layer
    return keras.layers.Bidirectional(layer, merge_mode=merge, dtype=dtype)


def model_of(case, **options):
    layers = [layer_of(case.cell, case.directions, **options) for _ in range(case.layers)]
    model = keras.Sequential(layers) if case.layers > 1 else layers[0]
    model.build((None, None, I))
    return model


def peer_of(model):
    def read(weights):
        model.set_weights(list(weights))
        return from_keras(model)

    def run(weights, xs):
        model.set_weights(list(weights))
        model.zero_grad()
        xs = torch.tensor(xs, requires_grad=True)
        ys = model(xs.swapaxes(0, 1)).swapaxes(0, 1)
        (torch.from_numpy(loss_weights(ys.detach().numpy())) * ys).sum().backward()
        grads = [variable.value.grad.numpy() for variable in model.weights]
        return ys.detach().numpy(), xs.grad.numpy(), grads

    # Except with TensorFlow, Keras computes float64 products in float32.
    return Peer(to_keras, read, run, tolerance=1e-6)


@every_cell
def test_outputs_gradients_and_round_trip(cell):
    case = Case(cell, layers=2, directions=2)
    check_conversion(case, peer_of(model_of(case)))


@every_cell
def test_narrow_round_trip(cell):
    case = Case(cell, layers=1)
    check_narrow_round_trip(case, lambda dtype: peer_of(model_of(case, dtype=dtype)))


@pytest.mark.parametrize("merge", ["sum", "mul", "ave"])
def test_directions_merged(merge):
    case = Case(ElmanParams, layers=1, directions=2)
    check_outputs(case, peer_of(model_of(case, merge=merge)))


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_activation_of_the_layer(activation):
    case = Case(ElmanParams, layers=1)
    check_outputs(case, peer_of(model_of(case, activation=activation)))


@every_cell
def test_arrays_by_name(cell):
    params = random_params(Case(cell, layers=1), np.random.default_rng(0))
    arrays = dict(zip(["kernel", "recurrent_kernel", "bias"], to_keras(params), strict=True))
    assert_bits(from_keras(arrays).params, params)
    assert_bits(from_keras([arrays]).params, params)


def built(layer):
    layer.build((None, None, I))
    return layer


def without(name):
    arrays = {"kernel": np.ones((I, 4 * H)), "recurrent_kernel": np.ones((H, 4 * H))}
    arrays["bias"] = np.ones(4 * H)
    del arrays[name]
    return arrays


BAD = {
    "a layer of another kind": (lambda: keras.layers.ReLU(), TypeError, r"re_lu.*\(ReLU\) has no"),
    "not built": (lambda: keras.layers.LSTM(H), ValueError, "not built"),
    "backwards": (
        lambda: built(keras.layers.LSTM(H, go_backwards=True)),
        ValueError,
        "go_backwards",
    ),
    "backwards, bidirectional": (
        lambda: built(keras.layers.Bidirectional(keras.layers.LSTM(H, go_backwards=True))),
        ValueError,
        "go_backwards",
    ),
    "another library": (lambda: torch.nn.LSTM(I, H), TypeError, "got LSTM"),
    "other gates": (
        lambda: built(keras.layers.GRU(H, recurrent_activation="gelu")),
        ValueError,
        r"`recurrent_activation` of `gru.*` \(GRU\) must be one of .*, got 'gelu'",
    ),
    "another activation": (
        lambda: built(keras.layers.SimpleRNN(H, activation="gelu")),
        ValueError,
        "`activation`",
    ),
    "not merged": (
        lambda: built(keras.layers.Bidirectional(keras.layers.LSTM(H), merge_mode=None)),
        ValueError,
        "merge_mode",
    ),
    "arrays without names": (lambda: to_keras(LSTM), TypeError, "without names"),
    "a missing array": (lambda: without("kernel"), ValueError, r"missing \[kernel\]"),
    "a wrong shape": (
        lambda: without("bias") | {"bias": np.ones(3 * H)},
        ValueError,
        r"`bias` must have shape \(20,\)",
    ),
    "a wrong number of gates": (
        lambda: without("bias") | {"recurrent_kernel": np.ones((H, 2 * H))},
        ValueError,
        "2 gates",
    ),
    "an ambiguous GRU": (
        lambda: {"kernel": np.ones((I, 3 * H)), "recurrent_kernel": np.ones((H, 3 * H))},
        ValueError,
        "reset_after",
    ),
    "a file": (lambda: "weights.h5", TypeError, "got str"),
}
LSTM = random_params(Case(LSTMParams, layers=1), np.random.default_rng(0))


@pytest.mark.parametrize(("make", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        from_keras(make())


@every_cell
def test_without_biases(cell):
    source = layer_of(cell, use_bias=False)
    xs = random_inputs(np.random.default_rng(0))
    want = source(xs.swapaxes(0, 1)).detach().numpy().swapaxes(0, 1)
    layer, params = from_keras(source)
    assert_bits(params, without_biases(params))
    assert "use_bias=False" in repr(layer)
    assert_close(layer.apply(params, None, xs)[1], want, 1e-6)
    arrays = to_keras(params)
    assert len(arrays) == 2
    source.set_weights(arrays)
