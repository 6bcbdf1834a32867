"""Invalid weights raise quickly, with the reason, and without executing anything."""

import io
import json
import pickle
import struct

import jax
import numpy as np
import pytest

import jaxrnn
from jaxrnn.cells import LSTMParams
from jaxrnn.convert import from_torch, to_torch
from tests.convert.converting import Case, H, I, random_params
from tests.laws.compiled import compilations

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
LSTM = random_params(Case(LSTMParams, layers=2, directions=2), np.random.default_rng(0))


def changed(**arrays):
    return {name: a.numpy() for name, a in to_torch(LSTM).items()} | arrays


def without(name):
    state = changed()
    del state[name]
    return state


BAD = {
    "a missing weight": (
        lambda: without("weight_ih_l1_reverse"),
        ValueError,
        r"missing \[weight_ih_l1_reverse\], unexpected \[\]",
    ),
    "a missing bias": (lambda: without("bias_hh_l0"), ValueError, "bias_hh_l0"),
    "an extra weight": (lambda: changed(other=np.ones(3)), ValueError, r"unexpected \[other\]"),
    "a gap in the layers": (
        lambda: changed(weight_hh_l99999999999=np.ones((4 * H, H))),
        ValueError,
        "weight_hh_l2",
    ),
    "a wrong shape": (
        lambda: changed(weight_ih_l0=np.ones((4 * H - 1, I))),
        ValueError,
        r"`weight_ih_l0` must have shape \(20, 3\) .*, got \(19, 3\)",
    ),
    "not a matrix": (lambda: changed(weight_hh_l0=np.ones(4)), ValueError, "must be a matrix"),
    "a wrong number of gates": (
        lambda: changed(weight_hh_l0=np.ones((2 * H, H))),
        ValueError,
        "which is 2 gates",
    ),
    "half a gate": (lambda: changed(weight_hh_l0=np.ones((18, H))), ValueError, "3.6 gates"),
    "directions of different widths": (
        lambda: changed(weight_ih_l0_reverse=np.ones((4 * H, I + 1))),
        ValueError,
        r"\[3, 4\] features",
    ),
    "layers that do not connect": (
        lambda: changed(weight_ih_l1=np.ones((4 * H, H)), weight_ih_l1_reverse=np.ones((4 * H, H))),
        ValueError,
        "Layer 0 returns 10 features, but layer 1 expects 5",
    ),
    "integers": (lambda: changed(bias_ih_l0=np.ones(4 * H, int)), TypeError, "must be floating"),
    "not an array": (lambda: changed(bias_ih_l0=[1.0]), TypeError, "must be an array, got list"),
    "objects": (
        lambda: changed(bias_ih_l0=np.array([None] * 4 * H)),
        TypeError,
        "must be floating-point, got object",
    ),
    "several dtypes": (
        lambda: changed(bias_ih_l0=np.ones(4 * H, np.float32)),
        TypeError,
        r"one dtype, got \['float32', 'float64'\]",
    ),
    "a list of modules": (lambda: [torch.nn.LSTM(I, H)], TypeError, "got list"),
    "another library": (
        lambda: {"params": {"cell": {"ii": {"kernel": np.ones((I, H))}}}},
        TypeError,
        "`params` must be an array, got dict",
    ),
    "empty": (dict, ValueError, r"missing \[weight_hh_l0, weight_ih_l0\]"),
    "bytes": (lambda: pickle.dumps(1), TypeError, "got bytes"),
}


@pytest.mark.parametrize(("make", "error", "message"), BAD.values(), ids=BAD)
def test_bad_weights(make, error, message):
    source = make()
    with pytest.raises(error, match=message):
        from_torch(source)


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was run')",)


def saved(save):
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


HEADER = b'{"weight_ih_l0":{"dtype":"F32","shape":[4,4],"data_offsets":[0,64]}}'
HUGE = HEADER.replace(b"4,4", b"4000000000000000,4000")


def safetensors_file(header, length=None):
    return struct.pack("<Q", length or len(header)) + header + bytes(64)


def empty_arrays(number):
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    return safetensors_file(json.dumps(dict.fromkeys(map(str, range(number)), entry)).encode())[
        :-64
    ]


BAD_FILES = {
    "a pickle": (lambda: pickle.dumps(Trap()), "is a pickle"),
    "a pickle of torch": (lambda: saved(lambda b: torch.save(Trap(), b)), "zip archive"),
    "a NumPy array": (lambda: saved(lambda b: np.save(b, np.ones(3))), "NumPy array"),
    "an HDF5 file": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
    "text": (lambda: b"weights: none" * 100, "not a valid safetensors file"),
    "an empty file": (lambda: b"", "not a valid safetensors file"),
    "truncated": (lambda: safetensors_file(HEADER)[:-1], "not a valid"),
    "truncated in the header": (lambda: safetensors_file(HEADER)[:40], "not a valid"),
    "an absurd header": (lambda: safetensors_file(HEADER, 2**62), "not a valid"),
    "brackets, 99 MB": (lambda: safetensors_file(b"[" * 99_000_000), "at most 8388608"),
    "400,000 arrays": (lambda: empty_arrays(400_000), "not a valid"),
    "100,000 arrays": (lambda: empty_arrays(100_000), "100000 arrays of .* Pass the prefix"),
    "an absolute name": (
        lambda: safetensors_file(HEADER.replace(b"weight_ih_l0", b"/etc/passwd")),
        r"missing .*unexpected \[/etc/passwd\]",
    ),
    "a name with ..": (
        lambda: safetensors_file(HEADER.replace(b"weight_ih_l0", b"../weight_ih_l0")),
        r"missing .*unexpected \[../weight_ih_l0\]",
    ),
    "an absurd shape": (lambda: safetensors_file(HUGE), "not a valid"),
}


@pytest.mark.parametrize(("make", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files(make, message, tmp_path):
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    path = tmp_path / "weights.safetensors"
    path.write_bytes(make())
    with compilations() as compiled, pytest.raises(ValueError, match=message):
        from_torch(path)
    assert compiled == []


BAD_PARAMS = {
    "a reset before the product": (
        jaxrnn.rnn(jaxrnn.gru(H, reset_after=False)),
        TypeError,
        "different functions",
    ),
    "not a cell": (jaxrnn.dense(H), TypeError, "got DenseParams"),
    "a stack with a layer without a cell": (
        jaxrnn.stack(jaxrnn.rnn(jaxrnn.lstm(H)), jaxrnn.dropout(0.1)),
        TypeError,
        "got tuple",
    ),
    "several kinds": (
        jaxrnn.stack(jaxrnn.rnn(jaxrnn.lstm(H)), jaxrnn.rnn(jaxrnn.gru(H))),
        ValueError,
        "one kind of cell",
    ),
    "several sizes": (
        jaxrnn.stack(jaxrnn.rnn(jaxrnn.lstm(H)), jaxrnn.rnn(jaxrnn.lstm(H + 1))),
        ValueError,
        "one hidden size",
    ),
    "merged by a sum": (
        jaxrnn.stack(*[jaxrnn.bidirectional(jaxrnn.elman(H), merge="sum")] * 2),
        ValueError,
        "Layer 1 expects 5 features, but in a torch LSTM, GRU or RNN it receives the 10",
    ),
}


@pytest.mark.parametrize(("layer", "error", "message"), BAD_PARAMS.values(), ids=BAD_PARAMS)
def test_params_unsupported_by_torch(layer, error, message):
    xs = jax.ShapeDtypeStruct((2, I), np.float64)
    shapes = jax.eval_shape(layer.init, jax.random.key(0), xs)
    with pytest.raises(error, match=message):
        to_torch(jax.tree.map(lambda shape: np.zeros(shape.shape), shapes))


def test_stacked_params_raise():
    params = jax.tree.map(lambda p: np.stack([p, p]), LSTM)
    with pytest.raises(ValueError, match="one network at a time"):
        to_torch(params)


def test_float64_is_not_narrowed_silently():
    with jax.enable_x64(False), pytest.raises(TypeError, match="jax_enable_x64"):
        from_torch(changed())
