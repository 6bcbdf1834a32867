"""Weights from and to the ConvLSTM of Keras and of Flax linen."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.cells import ConvGRUParams, ConvLSTMParams
from jaxrnn.convert import from_keras, from_linen, to_keras, to_linen, to_nnx
from jaxrnn.layers import BidirectionalParams
from tests.convert.converting import assert_bits, assert_close

os.environ.setdefault("KERAS_BACKEND", "torch")
T, B, C, F = 3, 2, 2, 3
SPACE = 5, 4, 2
WINDOWS = [(3,), (3, 2), (2, 3, 1)]
every_window = pytest.mark.parametrize("window", WINDOWS, ids=str)
NAMES = "kernel", "recurrent_kernel", "bias"


def random_params(window, dtype=np.float64, features=C, seed=0):
    rng = np.random.default_rng(seed)
    shapes = (*window, features, 4 * F), (*window, F, 4 * F), (4 * F,)
    return ConvLSTMParams(*(rng.normal(0, 0.4, shape).astype(dtype) for shape in shapes))


def pictures(window):
    return np.random.default_rng(1).normal(size=(T, B, *SPACE[: len(window)], C))


def outputs(network, xs):
    return network.layer.apply(network.params, None, xs)[1]


def keras_layer(window, **options):
    keras = pytest.importorskip("keras", reason="keras is not installed")
    pytest.importorskip("torch", reason="torch is not installed")
    options = {"padding": "same", "return_sequences": True, "dtype": "float64"} | options
    layer = getattr(keras.layers, f"ConvLSTM{len(window)}D")(F, window, **options)
    size = SPACE[: len(window)]
    shape = (C, *size) if options.get("data_format") == "channels_first" else (*size, C)
    layer.build((None, T, *shape))
    return layer


def keras_outputs(layer, xs):
    return layer(xs.swapaxes(0, 1)).detach().cpu().numpy().swapaxes(0, 1)


@every_window
def test_keras(window):
    layer, params, xs = keras_layer(window), random_params(window), pictures(window)
    layer.set_weights(to_keras(params))
    network = from_keras(layer)
    assert_bits(network.params, params)
    assert network.layer == jaxrnn.rnn(jaxrnn.conv_lstm(F, window))
    assert_close(outputs(network, xs), keras_outputs(layer, xs), 1e-6)


def test_options_of_keras():
    """Dilation is of the input convolution alone; activations; no bias."""
    options = {"activation": "softsign", "recurrent_activation": "hard_sigmoid", "use_bias": False}
    layer, xs = keras_layer((3, 2), dilation_rate=(1, 2), **options), pictures((3, 2))
    network = from_keras(layer)
    assert "dilation=(1, 2)" in repr(network.layer)
    assert network.params.bias is None
    assert_close(outputs(network, xs), keras_outputs(layer, xs), 1e-6)
    layer.set_weights(to_keras(network.params))


def test_both_directions_of_keras():
    keras = pytest.importorskip("keras", reason="keras is not installed")
    layer, xs = keras.layers.Bidirectional(keras_layer((3,)), dtype="float64"), pictures((3,))
    layer.build((None, T, SPACE[0], C))
    both = BidirectionalParams(random_params((3,)), random_params((3,), seed=1))
    layer.set_weights(to_keras(both))
    network = from_keras(layer)
    assert_bits(network.params, both)
    assert_close(outputs(network, xs), keras_outputs(layer, xs), 1e-6)


def flax_outputs(window, variables, xs):
    nn = pytest.importorskip("flax.linen", reason="flax is not installed")
    module = nn.RNN(nn.ConvLSTMCell(F, window, param_dtype=float))
    with jax.numpy_dtype_promotion("standard"):
        return jax.jit(module.apply)(variables, xs.swapaxes(0, 1)).swapaxes(0, 1)


@every_window
def test_linen(window):
    params, xs = random_params(window), pictures(window)
    variables = to_linen(params)
    network = from_linen(variables)
    assert_bits(network.params, params)
    assert network.layer == jaxrnn.rnn(jaxrnn.conv_lstm(F, window))
    assert_close(outputs(network, xs), flax_outputs(window, variables, xs), 1e-12)


def test_linen_with_two_biases_and_with_none():
    params, xs = random_params((3,)), pictures((3,))
    cell = to_linen(params)["params"]["cell"]
    cell["hh"]["bias"] = cell["hh"]["bias"] + 0.3
    both = {"params": {"cell": cell}}
    assert_close(outputs(from_linen(both), xs), flax_outputs((3,), both, xs), 1e-12)
    for module in cell.values():
        del module["bias"]
    forget = np.repeat([0.0, 1.0, 0.0, 0.0], F)
    assert_bits(from_linen({"params": {"cell": cell}}).params, params._replace(bias=forget))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_narrow_round_trips_keep_every_bit_and_the_sign_of_zero(dtype):
    params = random_params((2, 1), jnp.dtype(dtype))
    zeros = jax.tree.map(lambda p: np.where(np.abs(p) < 0.2, -np.zeros_like(p), p), params)
    layers = params, zeros._replace(kernel=random_params((2, 1), jnp.dtype(dtype), F).kernel)
    for given in (params, zeros, layers):
        assert_bits(from_linen(to_linen(given)).params, given)
        if given is not layers:
            arrays = dict(zip(NAMES, to_keras(given), strict=True))
            assert_bits(from_keras(arrays).params, given)


PEEPHOLES = random_params((3,))._replace(peephole=np.zeros(3 * F))
GRU = ConvGRUParams(np.ones((3, C, 3 * F)), np.ones((3, F, 3 * F)), np.ones(3 * F), np.ones(F))
BAD = {
    "peepholes": (lambda: to_keras(PEEPHOLES), TypeError, "ConvLSTM of Keras does not have"),
    "peepholes in Flax": (lambda: to_linen(PEEPHOLES), TypeError, "ConvLSTM of Flax does not"),
    "a ConvGRU": (lambda: to_linen(GRU), TypeError, "must be .*ConvLSTMParams.*got ConvGRUParams"),
    "nnx": (lambda: to_nnx(random_params((3,))), TypeError, "got ConvLSTMParams"),
    "valid": (
        lambda: from_keras(keras_layer((3,), padding="valid")),
        ValueError,
        "`padding` of `conv_lst.*must be 'same'.*got 'valid'",
    ),
    "strides": (lambda: from_keras(keras_layer((3,), strides=2)), ValueError, "`strides` of"),
    "channels first": (
        lambda: from_keras(keras_layer((3, 3), data_format="channels_first")),
        ValueError,
        "`data_format` of .*must be 'channels_last'",
    ),
    "a kernel of another size": (
        lambda: from_keras(
            dict(zip(NAMES, to_keras(random_params((3,))), strict=True))
            | {"kernel": np.ones((2, C, 4 * F))}
        ),
        ValueError,
        r"`kernel` must have shape \(3, 2, 12\)",
    ),
    "a matrix": (
        lambda: to_keras(random_params((3,))._replace(kernel=np.ones((C, 4 * F)))),
        ValueError,
        r"`kernel` must be the kernel of a convolution",
    ),
    "one bias": (
        lambda: from_linen(
            {"ih": {"kernel": np.ones((3, C, 4 * F)), "bias": np.ones(4 * F)}}
            | {"hh": {"kernel": np.ones((3, F, 4 * F))}}
        ),
        ValueError,
        r"missing \[hh/bias\]",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
