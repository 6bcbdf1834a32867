"""ONNX models with the operators LSTM, GRU and RNN."""

import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrnn._core.types import Params
from jaxrnn.cells import ElmanParams, GRUParams, LSTMParams
from jaxrnn.convert._cell_layers import CellLayer, uniform_cell_layers
from jaxrnn.convert._gates import GATES, CellParams, reorder, split_biases
from jaxrnn.convert._network import ACTIVATIONS, Activation
from jaxrnn.convert._onnx import ORDER

_OPSET = 22  # the first in which these operators support bfloat16
_IR_VERSION = 10  # the version of the first release with that opset
_OPERATORS = {LSTMParams: "LSTM", ElmanParams: "RNN"}


def to_onnx(params: Params, *, activation: Activation = jnp.tanh, streaming: bool = False) -> Any:
    """An ONNX model with these parameters: xs (T, B, I) -> ys (T, B, H), or 2H for two directions.

    Args:
      params: `LSTMParams`, `GRUParams`, `ResetBeforeGRUParams` or `ElmanParams`, a
        `BidirectionalParams` of two of one kind, or a tuple of any of these, as in `jaxrnn.stack`.
        A bidirectional layer must use ``merge="concat"``.
      activation: the activation of cells with `ElmanParams`: `jnp.tanh`, `jax.nn.relu` or
        `jax.nn.sigmoid`.
      streaming: whether the model takes and returns the carry. If so, each layer i has an input
        ``h_i`` (B, H), for an LSTM also ``c_i``, and outputs ``next_h_i`` and ``next_c_i``. If not,
        the carry starts at zero and is not returned.

    Returns:
      An `onnx.ModelProto` with dynamic T and B.

    Raises:
      ValueError, TypeError: ONNX has no such operator, the shapes are inconsistent, or `streaming`
        is requested for a bidirectional layer.
    """
    from onnx import helper, numpy_helper

    entries = params if type(params) is tuple else (params,)
    cells = tuple(GATES)
    found = [layer for e in entries for layer in uniform_cell_layers("an ONNX node", cells, e)]
    states = [_states(i, layer) if streaming else [] for i, layer in enumerate(found)]
    arrays = {"by_step": np.array([0, 0, -1])}
    arrays |= {"direction": np.array([0])} if streaming else {}
    nodes = []
    for i, layer in enumerate(found):
        source, target = f"ys_{i - 1}" if i else "xs", f"ys_{i}" if found[i + 1 :] else "ys"
        nodes += _nodes(i, source, target, states[i], _attributes(layer, activation))
        arrays |= {f"{role}_{i}": array for role, array in _arrays(layer).items()}
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    ends = _ends(found[0][0], found[-1], list(itertools.chain(*states)))
    graph = helper.make_graph(nodes, "jaxrnn", *ends, tensors)
    opset = helper.make_opsetid("", _OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)


def _ends(first: CellParams, last: CellLayer, states: list[str]) -> tuple[list[Any], list[Any]]:
    """The inputs and the outputs of a model."""
    from onnx import helper

    element = helper.np_dtype_to_tensor_dtype(first.kernel.dtype)
    hidden_size = len(last[0].recurrent_kernel)

    def make(name, *shape):
        return helper.make_tensor_value_info(name, element, shape)

    inputs = [make("xs", "T", "B", len(first.kernel))]
    outputs = [make("ys", "T", "B", len(last) * hidden_size)]
    inputs += [make(name, "B", hidden_size) for name in states]
    outputs += [make(f"next_{name}", "B", hidden_size) for name in states]
    return inputs, outputs


def _states(i: int, layer: CellLayer) -> list[str]:
    """The names of the carry of a layer."""
    if len(layer) > 1:
        raise ValueError(
            f"`streaming` needs unidirectional layers, but layer {i} is bidirectional: its "
            "backward direction starts at the end of the sequence."
        )
    return [f"h_{i}", f"c_{i}"] if isinstance(layer[0], LSTMParams) else [f"h_{i}"]


def _nodes(
    i: int, source: str, target: str, states: list[str], attributes: dict[str, Any]
) -> list[Any]:
    """The nodes of one layer: its operator, and a reshape of its outputs to (T, B, D*H).

    The operator's outputs are (T, D, B, H), and its states (D, B, H) with D = 1.
    """
    from onnx import helper

    operator = attributes.pop("operator")
    inputs, outputs = [source, f"W_{i}", f"R_{i}", f"B_{i}"], [f"Y_{i}"]
    if states:
        inputs += ["", *(f"initial_{name}" for name in states)]  # "": no lengths
        outputs += [f"last_{name}" for name in states]

    def make_state(kind, before, after):
        names = ((before + name, after + name) for name in states)
        return [helper.make_node(kind, [a, "direction"], [b]) for a, b in names]

    return [
        *make_state("Unsqueeze", "", "initial_"),
        helper.make_node(operator, inputs, outputs, name=f"layer_{i}", **attributes),
        *make_state("Squeeze", "last_", "next_"),
        helper.make_node("Transpose", [f"Y_{i}"], [f"Y_{i}_by_batch"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", [f"Y_{i}_by_batch", "by_step"], [target]),
    ]


def _attributes(layer: CellLayer, activation: Activation) -> dict[str, Any]:
    attributes = {
        "operator": _OPERATORS.get(type(layer[0]), "GRU"),
        "hidden_size": len(layer[0].recurrent_kernel),
        "direction": "bidirectional" if len(layer) == 2 else "forward",
    }
    if attributes["operator"] == "GRU":
        attributes["linear_before_reset"] = int(isinstance(layer[0], GRUParams))
    if attributes["operator"] == "RNN":
        attributes["activations"] = [_name_of(activation)] * len(layer)
    return attributes


def _name_of(activation: Activation) -> str:
    names = {function: name.capitalize() for name, function in ACTIVATIONS.items()}
    if activation not in names:
        raise ValueError(
            f"`activation` must be jnp.tanh, jax.nn.relu or jax.nn.sigmoid, got {activation!r}. "
            "ONNX has a fixed list of activations."
        )
    return names[activation]


def _arrays(layer: CellLayer) -> dict[str, np.ndarray]:
    """W (D, G*H, I), R (D, G*H, H) and B (D, 2*G*H) of a layer."""
    kind = type(layer[0])
    order = ORDER[_OPERATORS.get(kind, "GRU")]
    split = [[reorder(a, GATES[kind], order) for a in split_biases(cell)] for cell in layer]
    kernels, recurrent_kernels, *biases = zip(*split, strict=True)
    w, r = (np.stack([kernel.T for kernel in side]) for side in (kernels, recurrent_kernels))
    return {"W": w, "R": r, "B": np.concatenate([np.stack(b) for b in biases], axis=-1)}
