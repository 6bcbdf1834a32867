"""Whole networks from and to ONNX: dense layers, embeddings, lengths, empty sequences."""

import itertools

import jax
import numpy as np
import pytest

import jaxrnn
from jaxrnn.cells import LSTMParams
from jaxrnn.convert import from_onnx, to_onnx
from tests.convert.converting import B, H, I, T, assert_bits, assert_close

pytest.importorskip("onnx", reason="onnx is not installed: pip install onnx")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper

SYMBOLS, FEATURES = 11, 6
STACKS = {
    "tagger": jaxrnn.stack(
        jaxrnn.embed(SYMBOLS, I),
        jaxrnn.bidirectional(jaxrnn.lstm(H)),
        jaxrnn.dropout(0.3),
        jaxrnn.stack(jaxrnn.rnn(jaxrnn.gru(H)), jaxrnn.dense(FEATURES)),
    ),
    "regressor": jaxrnn.stack(
        jaxrnn.dense(H),
        jaxrnn.rnn(jaxrnn.elman(H)),
        jaxrnn.dense(H, use_bias=False),
        jaxrnn.rnn(jaxrnn.peephole_lstm(H)),
        jaxrnn.dense(2),
    ),
    "without biases": jaxrnn.stack(
        jaxrnn.rnn(jaxrnn.lstm(H, use_bias=False)),
        jaxrnn.rnn(jaxrnn.gru(H, use_bias=False)),
        jaxrnn.rnn(jaxrnn.coupled_lstm(H, use_bias=False, use_peepholes=True)),
    ),
}
every_stack = pytest.mark.parametrize("name", STACKS)


def made(name):
    """A stack, its parameters and inputs, in float32."""
    layer, rng = STACKS[name], np.random.default_rng(0)
    xs = rng.normal(size=(T, B, I)).astype(np.float32)
    if name == "tagger":
        xs = rng.integers(0, SYMBOLS, (T, B)).astype(np.int32)
    return layer, layer.init(jax.random.key(0), xs), xs


def flat(params):
    """The parameters of a stack without its dropout, and without stacks in it."""
    if type(params) is not tuple:
        return (params,)
    return tuple(entry for part in params for entry in flat(part))


def session_of(model):
    checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


@every_stack
def test_outputs_and_round_trip(name):
    layer, params, xs = made(name)
    model = to_onnx(params)
    (want,) = session_of(model).run(None, {"xs": xs})
    assert_close(layer.apply(params, None, xs)[1], want, 1e-6)
    found, back = from_onnx(model)
    assert_bits(back, flat(params))
    assert_close(found.apply(back, None, xs)[1], want, 1e-6)


@every_stack
def test_lengths_are_an_input(name):
    layer, params, xs = made(name)
    session = session_of(to_onnx(params, lengths=True))
    for lengths in itertools.product([0, 1, T], repeat=B):
        lengths = np.array(lengths, np.int32)
        (want,) = session.run(None, {"xs": xs, "lengths": lengths})
        mask = jaxrnn.length_mask(lengths, T)
        assert_close(layer.apply(params, None, xs, mask=mask)[1], want, 1e-6)


def test_streaming_with_dense_layers():
    layer, params, xs = made("regressor")
    session = session_of(to_onnx(params, streaming=True))
    names = [entry.name for entry in session.get_inputs()][1:]
    assert names == ["h_1", "h_3", "c_3"]
    carry, ys = {name: np.zeros((B, H), np.float32) for name in names}, []
    for x in xs:
        y, *leaves = session.run(None, {"xs": x[None], **carry})
        carry = dict(zip(names, leaves, strict=True))
        ys.append(y[0])
    assert_close(layer.apply(params, None, xs)[1], ys, 1e-6)


@pytest.mark.parametrize("cell", [jaxrnn.lstm(H), jaxrnn.elman(H)], ids=repr)
@pytest.mark.parametrize("directions", [1, 2])
def test_no_steps(directions, cell):
    """Not for a GRU, which ends the process of onnxruntime 1.23 if T is 0."""
    first = jaxrnn.rnn(cell) if directions == 1 else jaxrnn.bidirectional(cell)
    layer = jaxrnn.stack(first, jaxrnn.rnn(cell), jaxrnn.dense(3))
    xs = np.zeros((0, B, I), np.float32)
    params = layer.init(jax.random.key(0), xs)
    for lengths in (False, True):
        given = {"xs": xs} | ({"lengths": np.zeros(B, np.int32)} if lengths else {})
        (ys,) = session_of(to_onnx(params, lengths=lengths)).run(None, given)
        assert ys.shape == (0, B, 3)


def test_gemm_and_nodes_beyond_the_chain():
    """A Gemm with a transposed kernel is a dense layer; the Softmax after it ends the chain."""
    rng = np.random.default_rng(0)
    layer = jaxrnn.rnn(jaxrnn.lstm(H))
    xs = rng.normal(size=(T, B, I)).astype(np.float32)
    params = layer.init(jax.random.key(0), xs)
    graph = to_onnx(params).graph
    kernel, bias = rng.normal(size=(FEATURES, H)), rng.normal(size=FEATURES)
    arrays = {"rows": np.array([-1, H]), "kernel": kernel, "bias": bias}
    for name, array in arrays.items():
        array = array if name == "rows" else array.astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(array, name))
    nodes = [
        helper.make_node("Reshape", ["ys", "rows"], ["ys_in_rows"]),
        helper.make_node("Gemm", ["ys_in_rows", "kernel", "bias"], ["logits"], "head", transB=1),
        helper.make_node("Softmax", ["logits"], ["chances"]),
        helper.make_node("MatMul", ["chances", "kernel"], ["beyond"]),
    ]
    graph.node.extend(nodes)
    graph.output[0].CopyFrom(
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", FEATURES])
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    found, back = from_onnx(model)
    assert found == jaxrnn.stack(layer, jaxrnn.dense(FEATURES))
    (want,) = session_of(model).run(None, {"xs": xs})
    assert_close(found.apply(back, None, xs)[1].reshape(T * B, FEATURES), want, 1e-6)
    graph.node[-3].attribute.append(helper.make_attribute("alpha", 2.0))
    with pytest.raises(ValueError, match=r"Gemm node 'head' has {'alpha': 2.0}"):
        from_onnx(helper.make_model(graph))


def test_several_heads_are_no_chain():
    params = made("without biases")[1]
    graph = to_onnx(params).graph
    graph.initializer.append(numpy_helper.from_array(np.ones((H, 2), np.float32), "kernel"))
    for i in range(2):
        graph.node.append(helper.make_node("MatMul", ["ys", "kernel"], [f"head_{i}"]))
        found = from_onnx(helper.make_model(graph)).params
        assert len(found) == (4 if i == 0 else 3)


def bad_params(*layers):
    xs = jax.ShapeDtypeStruct((T, B, I), np.float32)
    return jaxrnn.stack(*layers).init(jax.random.key(0), xs)


BAD = {
    "no layers": (lambda: (), ValueError, "no parameters"),
    "a layer that ONNX has not": (
        lambda: bad_params(jaxrnn.dense(H), jaxrnn.rnn(jaxrnn.layer_norm_lstm(H))),
        TypeError,
        "Layer 1: `params` must be .*LayerNormLSTMParams",
    ),
    "an embedding that is not the first layer": (
        lambda: (*bad_params(jaxrnn.dense(H)), made("tagger")[1][0]),
        ValueError,
        "Layer 1 is an embedding",
    ),
    "a merge by a sum": (
        lambda: bad_params(
            jaxrnn.bidirectional(jaxrnn.lstm(H), merge="sum"), jaxrnn.rnn(jaxrnn.gru(H))
        ),
        ValueError,
        "Layer 0 returns 10 features, but layer 1 expects 5.*merge=",
    ),
    "several dtypes": (
        lambda: (
            *bad_params(jaxrnn.dense(H)),
            LSTMParams(np.ones((H, 4 * H)), np.ones((H, 4 * H)), None),
        ),
        TypeError,
        "one dtype",
    ),
}


@pytest.mark.parametrize(("make", "error", "message"), BAD.values(), ids=BAD)
def test_unsupported(make, error, message):
    with pytest.raises(error, match=message):
        to_onnx(make())
