"""Weights from and to ONNX. Its runtimes have no gradients, so finite differences replace them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn.cells import (
    CoupledLSTMParams,
    ElmanParams,
    GRUParams,
    LSTMParams,
    PeepholeLSTMParams,
    ResetBeforeGRUParams,
)
from jaxrnn.convert import from_onnx, to_onnx
from tests.convert.converting import (
    Case,
    H,
    I,
    Peer,
    assert_bits,
    assert_close,
    check_conversion,
    check_narrow_round_trip,
    random_inputs,
    random_params,
)

pytest.importorskip("onnx", reason="onnx is not installed: pip install onnx")
import onnx
from onnx import TensorProto, checker, helper, numpy_helper, reference

CELLS = [
    LSTMParams,
    GRUParams,
    ResetBeforeGRUParams,
    ElmanParams,
    PeepholeLSTMParams,
    CoupledLSTMParams,
]
every_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.__name__)


def by_reference(model, xs):
    return reference.ReferenceEvaluator(model).run(None, {"xs": xs})[0]


def by_runtime(model, xs):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"xs": xs})[0]


def peer_of(case, evaluate, dtype=np.float64, **options):
    """A peer whose weights are the tensors of a model, by name."""
    template = to_onnx(random_params(case, np.random.default_rng(0), dtype), **options)
    checker.check_model(template, full_check=True)

    def write(params):
        tensors = to_onnx(params, **options).graph.initializer
        found = {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}
        return {name: array for name, array in found.items() if not name.startswith("shape_")}

    def model(weights):
        tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
        found = onnx.ModelProto()
        found.CopyFrom(template)
        tensors_of_template = template.graph.initializer
        kept = [tensor for tensor in tensors_of_template if tensor.name.startswith("shape_")]
        del found.graph.initializer[:]
        found.graph.initializer.extend(tensors + kept)
        return found

    def run(weights, xs):
        return evaluate(model(weights), xs), None, None

    return Peer(write, lambda weights: from_onnx(model(weights)), run)


@pytest.mark.parametrize("cell", CELLS[:-1], ids=lambda cell: cell.__name__)
def test_outputs_gradients_and_round_trip(cell):
    """Of the cells that the reference evaluator has: it reads no `input_forget`."""
    case = Case(cell, layers=2, directions=2)
    check_conversion(case, peer_of(case, by_reference))


@every_cell
@pytest.mark.parametrize("directions", [1, 2])
def test_outputs_of_onnxruntime(cell, directions):
    case = Case(cell, 2, directions)
    rng = np.random.default_rng(0)
    params, xs = random_params(case, rng, np.float32), random_inputs(rng, np.float32)
    model = to_onnx(params)
    layer, back = from_onnx(model)
    assert_bits(back, params)
    assert_close(layer.apply(back, None, xs)[1], by_runtime(model, xs), 1e-6)


@every_cell
@pytest.mark.parametrize("directions", [1, 2])
def test_dynamic_sizes_in_onnxruntime(cell, directions):
    """One model runs with any T and B."""
    params = random_params(Case(cell, 2, directions), np.random.default_rng(0), np.float32)
    model, (layer, back) = to_onnx(params), from_onnx(to_onnx(params))
    for shape in [(1, 1, I), (9, 4, I), (30, 2, I)]:
        xs = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        assert_close(layer.apply(back, None, xs)[1], by_runtime(model, xs), 1e-5)


@every_cell
def test_streaming_in_onnxruntime(cell):
    """The carry is an input and an output, for single steps and chunks, with any batch size."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    params = random_params(Case(cell, 2), np.random.default_rng(0), np.float32)
    model = to_onnx(params, streaming=True)
    checker.check_model(model, full_check=True)
    layer, back = from_onnx(model)
    assert_bits(back, params)
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [entry.name for entry in session.get_inputs()][1:]
    assert [entry.name for entry in session.get_outputs()][1:] == [f"next_{n}" for n in names]
    for batch in (1, 3, 8):
        rng = np.random.default_rng(batch)
        carry = jax.tree.map(
            lambda leaf, rng=rng: rng.normal(size=leaf.shape).astype(leaf.dtype),
            layer.init_carry(back, jax.ShapeDtypeStruct((1, batch, I), np.float32)),
        )
        state = dict(zip(names, jax.tree.leaves(carry), strict=True))
        for steps in (1, 1, 5):
            xs = rng.normal(size=(steps, batch, I)).astype(np.float32)
            carry, want = layer.apply(back, carry, xs)
            ys, *leaves = session.run(None, {"xs": xs, **state})
            state = dict(zip(names, leaves, strict=True))
            assert_close(ys, want, 1e-6)
            for got, leaf in zip(leaves, jax.tree.leaves(carry), strict=True):
                assert_close(got, leaf, 1e-6)


def test_bidirectional_layers_cannot_stream():
    params = random_params(Case(LSTMParams, 1, 2), np.random.default_rng(0))
    with pytest.raises(ValueError, match="`streaming` needs unidirectional layers"):
        to_onnx(params, streaming=True)


@every_cell
def test_narrow_round_trip(cell):
    case = Case(cell, layers=1)
    check_narrow_round_trip(case, lambda dtype: peer_of(case, None, jnp.dtype(dtype)))


@pytest.mark.parametrize("activation", [jax.nn.relu, jax.nn.sigmoid])
def test_activation_of_the_nodes(activation):
    rng = np.random.default_rng(0)
    params = random_params(Case(ElmanParams, 1, 2), rng, np.float32)
    model, xs = to_onnx(params, activation=activation), random_inputs(rng, np.float32)
    layer, back = from_onnx(model)
    assert_close(layer.apply(back, None, xs)[1], by_runtime(model, xs), 1e-6)


def test_reverse_and_constants():
    """A reverse node without a bias, whose weights are Constant nodes."""
    w, r = np.random.default_rng(0).normal(size=(2, 1, 4 * H, H))
    constants = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))
        for name, array in (("W", w), ("R", r))
    ]
    node = helper.make_node(
        "LSTM", ["xs", "W", "R"], ["Y"], hidden_size=H, direction="reverse", layout=0
    )
    info = helper.make_tensor_value_info
    double = TensorProto.DOUBLE
    ends = [info("xs", double, ["T", "B", H])], [info("Y", double, ["T", 1, "B", H])]
    model = helper.make_model(helper.make_graph([*constants, node], "reverse", *ends))
    xs = np.random.default_rng(1).normal(size=(4, 2, H))
    layer, params = from_onnx(model)
    want = by_reference(model, xs)[:, 0]
    assert_close(layer.apply(params, None, xs)[1], want, 1e-12)


def model_of(cell=LSTMParams, layers=1, edit=lambda graph: None):
    model = to_onnx(random_params(Case(cell, layers), np.random.default_rng(0)))
    edit(model.graph)
    return model


def with_attribute(**attributes):
    def edit(graph):
        made = [helper.make_attribute(name, value) for name, value in attributes.items()]
        kept = [a for a in graph.node[0].attribute if a.name not in attributes]
        del graph.node[0].attribute[:]
        graph.node[0].attribute.extend(kept + made)

    return edit


def with_tensor(name, array):
    def edit(graph):
        for tensor in graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(numpy_helper.from_array(array, name))

    return edit


def with_dims(size):
    def edit(graph):
        graph.initializer[0].dims[1] = size

    return edit


def outside(graph):
    graph.initializer[0].data_location = TensorProto.EXTERNAL


def removed(graph):
    del graph.initializer[0]


def side_by_side(graph):
    graph.node[3].input[0] = "xs"


def in_a_cycle(graph):
    graph.node[1].input[0] = graph.node[2].output[0]


def without_outputs(graph):
    del graph.node[0].output[:]


def with_empty_constants(graph):
    graph.node.extend(
        [helper.make_node("Constant", [], ["W_0"]), helper.make_node("Constant", [], [])]
    )
    del graph.initializer[0]


def with_peepholes(graph):
    graph.node[0].input.extend(["", "", "", "P"])
    graph.initializer.append(numpy_helper.from_array(np.ones((1, 2 * H)), "P"))


BAD = {
    "peepholes of a wrong shape": (
        lambda: model_of(edit=with_peepholes),
        ValueError,
        r"`P` must have shape \(1, 15\)",
    ),
    "another activation": (
        lambda: model_of(ElmanParams, edit=with_attribute(activations=["Gelu"])),
        ValueError,
        "'Gelu', which must be .*`activation`",
    ),
    "a tensor in another file": (lambda: model_of(edit=outside), ValueError, "not in the model"),
    "a missing tensor": (lambda: model_of(edit=removed), ValueError, "not in the model"),
    "an absurd shape": (
        lambda: model_of(edit=with_dims(10**12)),
        ValueError,
        "`W` of LSTM node .* is not a valid tensor",
    ),
    "an unknown dtype": (
        lambda: model_of(edit=lambda graph: setattr(graph.initializer[0], "data_type", 99)),
        ValueError,
        "is not a valid tensor",
    ),
    "a wrong shape": (
        lambda: model_of(edit=with_tensor("B_0", np.ones((1, 4 * H)))),
        ValueError,
        r"`B` must have shape \(1, 40\)",
    ),
    "a wrong number of gates": (
        lambda: model_of(edit=with_tensor("R_0", np.ones((1, 3 * H, H)))),
        ValueError,
        "3 gates",
    ),
    "a wrong number of axes": (
        lambda: model_of(edit=with_tensor("W_0", np.ones((4 * H, I)))),
        ValueError,
        "three nonempty axes",
    ),
    "nodes side by side": (
        lambda: model_of(layers=2, edit=side_by_side),
        ValueError,
        "does not read the output of",
    ),
    "a cycle": (lambda: model_of(layers=2, edit=in_a_cycle), ValueError, "does not read"),
    "an unknown direction": (
        lambda: model_of(edit=with_attribute(direction="sideways")),
        ValueError,
        "`direction`",
    ),
    "no recurrent node": (lambda: model_of(edit=lambda g: g.ClearField("node")), ValueError, "no"),
    "a direction of another type": (
        lambda: model_of(edit=with_attribute(direction=[1, 2])),
        ValueError,
        "`direction`",
    ),
    "a direction that is not text": (
        lambda: model_of(edit=with_attribute(direction=b"\xff")),
        ValueError,
        "`direction`",
    ),
    "a node without outputs": (lambda: model_of(edit=without_outputs), ValueError, "no outputs"),
    "empty constants": (
        lambda: model_of(edit=with_empty_constants),
        ValueError,
        "not in the model",
    ),
    "a path": (lambda: "model.onnx", TypeError, r"onnx.load\(path\)"),
}


@pytest.mark.parametrize(("make", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        from_onnx(make())


def test_unsupported_activations():
    params = random_params(Case(ElmanParams, layers=1), np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"`activation` must be jnp.tanh"):
        to_onnx(params, activation=jax.nn.gelu)
