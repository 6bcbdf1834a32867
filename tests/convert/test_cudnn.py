"""Weights from and to the flat cuDNN vector of `jax.experimental.rnn`."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn.cells import GRUParams, LSTMParams
from jaxrnn.convert import from_cudnn, to_cudnn
from tests.convert.converting import (
    B,
    Case,
    H,
    I,
    Peer,
    T,
    check_conversion,
    check_float32,
    check_narrow_round_trip,
    gradients,
    random_params,
)

rnn = pytest.importorskip("jax.experimental.rnn", reason="this JAX has no jax.experimental.rnn")


def peer_of(case):
    sizes = {"input_size": I, "hidden_size": H, "num_layers": case.layers}
    sizes["bidirectional"] = case.directions == 2

    def apply(weights, xs):
        matrices = rnn.unpack_lstm_weights(weights, *sizes.values())
        start = jnp.zeros((case.layers * case.directions, B, H), xs.dtype)
        lengths = jnp.full(B, T, jnp.int32)
        options = {**sizes, "dropout": 0.0}
        ys, _, _ = rnn.lstm_ref(xs.swapaxes(0, 1), start, start, *matrices, lengths, **options)
        return ys.swapaxes(0, 1)

    return Peer(to_cudnn, functools.partial(from_cudnn, **sizes), gradients(apply))


@pytest.mark.thorough
def test_outputs_gradients_and_round_trip():
    case = Case(LSTMParams, layers=2, directions=2)
    check_conversion(case, peer_of(case))


@pytest.mark.thorough
def test_float32():
    case = Case(LSTMParams, layers=2, directions=2)
    check_float32(case, peer_of(case))


@pytest.mark.parametrize(("layers", "directions"), [(1, 1), (3, 1), (1, 2)])
def test_narrow_round_trip(layers, directions):
    case = Case(LSTMParams, layers, directions)
    check_narrow_round_trip(case, lambda dtype: peer_of(case))


SIZES = {"input_size": I, "hidden_size": H}


def test_length_equals_jax():
    number = rnn.get_num_params_in_lstm(I, H, 2, True)
    from_cudnn(np.zeros(number), **SIZES, num_layers=2, bidirectional=True)
    with pytest.raises(ValueError, match=f"must be one vector of {number} numbers"):
        from_cudnn(np.zeros(number + 1), **SIZES, num_layers=2, bidirectional=True)


BAD = {
    "another rank": (np.zeros((2, 100)), {}, ValueError, "got shape"),
    "not an array": ([0.0], {}, TypeError, "got list"),
    "an absurd size": (np.zeros(3), {"hidden_size": 10**12}, ValueError, "must be one vector of"),
    "an absurd depth": (np.zeros(3), {"num_layers": 10**12}, ValueError, "num_layers"),
    "a zero size": (np.zeros(3), {"input_size": 0}, ValueError, "`input_size`"),
}


@pytest.mark.parametrize(("weights", "sizes", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input(weights, sizes, error, message):
    with pytest.raises(error, match=message):
        from_cudnn(weights, **SIZES | sizes)


def test_unsupported_params():
    with pytest.raises(TypeError, match="must be LSTMParams"):
        to_cudnn(random_params(Case(GRUParams, layers=1), np.random.default_rng(0)))
