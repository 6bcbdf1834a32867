"""ONNX nodes with options, compared with onnxruntime.

The options are activations, clip, peepholes, coupled gates and lengths.
"""

import itertools

import jax
import numpy as np
import pytest

import jaxrnn
from jaxrnn import activations
from jaxrnn.convert import from_onnx
from tests.convert.converting import B, H, I, T, assert_close

pytest.importorskip("onnx", reason="onnx is not installed: pip install onnx")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
USUAL = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
VARIANTS = [
    ("LSTM", {}),
    ("LSTM", {"peepholes": True}),
    ("LSTM", {"input_forget": 1}),
    ("LSTM", {"peepholes": True, "input_forget": 1}),
    ("GRU", {}),
    ("GRU", {"linear_before_reset": 1}),
    ("RNN", {}),
]
NUM_PARAMETERS = {
    "Relu": 0,
    "Tanh": 0,
    "Sigmoid": 0,
    "Softsign": 0,
    "Softplus": 0,
    "LeakyRelu": 1,
    "ThresholdedRelu": 1,
    "Elu": 1,
    "Affine": 2,
    "ScaledTanh": 2,
    "HardSigmoid": 2,
}


def model_of(kind, *, peepholes=False, lengths=False, seed=0, **attributes):
    """A model of one node with random weights, from xs (T, B, I), and lengths (B,), to Y."""
    rng = np.random.default_rng(seed)
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    rows = GATES[kind] * H
    shapes = {"W": (rows, I), "R": (rows, H), "B": (2 * rows,)}
    shapes |= {"P": (3 * H,)} if peepholes else {}
    arrays = {
        name: rng.normal(0, 0.4, (directions, *shape)).astype(np.float32)
        for name, shape in shapes.items()
    }
    inputs = ["xs", "W", "R", "B", "lengths" if lengths else ""]
    inputs += ["", "", "P"] if peepholes else []
    node = helper.make_node(kind, inputs, ["Y"], name="node", hidden_size=H, **attributes)
    info, float32 = helper.make_tensor_value_info, TensorProto.FLOAT
    ends = [info("xs", float32, ["T", "B", I])], [info("Y", float32, ["T", directions, "B", H])]
    if lengths:
        ends[0].append(info("lengths", TensorProto.INT32, ["B"]))
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph([node], "node", *ends, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


def run(model, xs, **others):
    """The outputs of onnxruntime, (T, B, D*H)."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (ys,) = session.run(None, {"xs": xs, **others})
    return ys.transpose(0, 2, 1, 3).reshape(*ys.shape[:1], ys.shape[2], -1)


def inputs(seed=0):
    return np.random.default_rng(seed).normal(size=(T, B, I)).astype(np.float32)


def check(model):
    xs = inputs()
    layer, params = from_onnx(model)
    with jax.disable_jit():  # many layers, each run once
        ys = layer.apply(params, None, xs)[1]
    assert_close(ys, run(model, xs), 2e-6)


def parameters(names, rng):
    """Random alphas and betas for those of these activations that have them, in order."""
    counts = [NUM_PARAMETERS[name] for name in names]
    alphas = [float(rng.uniform(0.2, 0.6)) for count in counts if count >= 1]
    betas = [float(rng.uniform(0.2, 0.6)) for count in counts if count >= 2]
    found = {"activation_alpha": alphas, "activation_beta": betas}
    return {name: values for name, values in found.items() if values}


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_options(kind, options, direction):
    for clip in ({}, {"clip": 0.3}):
        check(model_of(kind, direction=direction, **options, **clip))


@pytest.mark.parametrize("name", NUM_PARAMETERS)
@pytest.mark.parametrize("kind", GATES)
def test_activations(kind, name):
    """Each function in each place, with parameters and without, clipped and not."""
    rng = np.random.default_rng(0)
    for place in range(len(USUAL[kind])):
        names = [*USUAL[kind]]
        names[place] = name
        for clip in ({}, {"clip": 0.3}):
            check(model_of(kind, activations=names, **clip))
            if NUM_PARAMETERS[name]:
                check(model_of(kind, activations=names, **parameters(names, rng), **clip))


@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_activations_of_each_direction(kind, options):
    """Parameters are consumed in the order of the functions, over both directions."""
    rng = np.random.default_rng(1)
    names = ["HardSigmoid", "ScaledTanh", "Softsign", "Sigmoid", "Elu", "LeakyRelu"]
    count = 2 * len(USUAL[kind])
    names = names[:count] if kind == "LSTM" else names[:1] + names[3:4] + names[1:3]
    given = parameters(names[:count], rng) | options
    check(model_of(kind, activations=names[:count], direction="bidirectional", **given))


def test_the_cells_of_nodes():
    def layer(kind, **options):
        return from_onnx(model_of(kind, **options)).layer

    rnn = jaxrnn.rnn
    clipped = activations.clipped(jax.nn.sigmoid, 0.5)
    given = layer("LSTM", clip=0.5)
    assert given == rnn(
        jaxrnn.lstm(
            H,
            gate_activation=clipped,
            activation=activations.clipped(jax.numpy.tanh, 0.5),
            output_activation=jax.numpy.tanh,
        )
    )
    assert layer("LSTM") == rnn(jaxrnn.lstm(H))
    assert layer("LSTM", peepholes=True) == rnn(jaxrnn.peephole_lstm(H))
    coupled = {"input_forget": 1}
    assert layer("LSTM", **coupled) == rnn(jaxrnn.coupled_lstm(H))
    coupled["peepholes"] = True
    assert layer("LSTM", **coupled) == rnn(jaxrnn.coupled_lstm(H, use_peepholes=True))
    assert layer("GRU", linear_before_reset=1) == rnn(jaxrnn.gru(H))
    assert layer("RNN", activations=["relu"]) == rnn(jaxrnn.elman(H, jax.nn.relu))


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", GATES)
def test_lengths_are_a_mask(kind, direction):
    model = model_of(kind, direction=direction, lengths=True)
    layer, params = from_onnx(model)
    xs = inputs()
    for lengths in itertools.product([0, 1, T], repeat=B):
        lengths = np.array(lengths, np.int32)
        mask = jaxrnn.length_mask(lengths, T)
        ys = layer.apply(params, None, xs, mask=mask)[1]
        assert_close(ys, run(model, xs, lengths=lengths), 1e-6)


def test_a_given_activation_is_clipped():
    layer, params = from_onnx(model_of("RNN", clip=0.3), activation=jax.nn.softplus)
    xs = inputs()
    want = run(model_of("RNN", clip=0.3, activations=["Softplus"]), xs)
    assert_close(layer.apply(params, None, xs)[1], want, 1e-6)


BAD = {
    "an unknown function": ({"activations": ["Sine", "Tanh", "Tanh"]}, "'Sine', which must be"),
    "too few functions": ({"activations": ["Tanh"]}, "must have 3 names for each direction"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD)
def test_bad_activations(options, message):
    with pytest.raises(ValueError, match=f"`activations` of LSTM node 'node'.*{message}"):
        from_onnx(model_of("LSTM", **options))
