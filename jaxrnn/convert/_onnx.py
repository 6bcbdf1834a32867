"""Weights from the ONNX operators LSTM, GRU and RNN."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import describe
from jaxrnn.cells import ElmanParams, GRUParams, LSTMParams, ResetBeforeGRUParams
from jaxrnn.convert._arrays import as_numpy, check_shapes, count_gates
from jaxrnn.convert._gates import GATES, CellParams, TwoBiases, join_biases, reorder
from jaxrnn.convert._network import ACTIVATIONS, Activation, Network, Part, chain, one_way, two_way

ORDER = {"LSTM": "iofg", "GRU": "zrn", "RNN": "h"}
_GATE_FUNCTIONS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}
_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
# The operators allowed between two recurrent nodes, where they concatenate the directions.
_BETWEEN = {"Squeeze", "Transpose", "Reshape", "Identity", "Dropout"}


def from_onnx(model: Any, *, activation: Activation | None = None) -> Network:
    """A layer with the weights of the LSTM, GRU or RNN nodes of an ONNX model.

    The nodes must form one chain; nodes before the first and after the last are ignored. The layer
    is time-first, regardless of `layout`. An initial state is not converted: pass it as the carry.

    Args:
      model: an `onnx.ModelProto`, for example from `onnx.load`.
      activation: the activation of RNN nodes. None means the activation of the nodes.

    Returns:
      `Network`: the layer and its parameters.

    Raises:
      ValueError, TypeError: the model has no such node, or the nodes do not form a chain; a node
        has peepholes, a clip, coupled gates or other activations; or a weight is computed in the
        graph, or has the wrong shape or dtype.
    """
    if not hasattr(model, "graph") or not hasattr(model.graph, "node"):
        raise TypeError(
            f"`model` must be an onnx.ModelProto, got {describe(model)}. Read a file with "
            "`onnx.load(path)`."
        )
    nodes = [node for node in model.graph.node if node.op_type in ORDER]
    if not nodes:
        raise ValueError("`model` has no LSTM, GRU or RNN node at its top level.")
    for node in nodes:
        if not node.input or not node.output:
            raise ValueError(f"{_label(node)} has no inputs or no outputs. Is the model damaged?")
    _check_order(model.graph, nodes)
    constants = _constants(model.graph)
    return chain(_part(node, constants, activation) for node in nodes)


def _check_order(graph: Any, nodes: list[Any]) -> None:
    """Raises unless each node reads the output Y of the node before it."""
    between = [node for node in graph.node if node.op_type in _BETWEEN]
    for before, after in pairwise(nodes):
        # Each node is visited once, so the search ends even if the graph has a cycle.
        sources = {node.output[0]: node.input[0] for node in between if node.input and node.output}
        name = after.input[0]
        while name in sources:
            name = sources.pop(name)
        if name != before.output[0]:
            raise ValueError(
                f"{_label(after)} does not read the output of {_label(before)}, the recurrent node "
                f"before it, but {name!r}. Only one chain of nodes can be converted: extract each "
                "chain with `onnx.utils.Extractor`."
            )


def _constants(graph: Any) -> dict[str, Any]:
    """The constant tensors of a graph, by name."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    constants = (node for node in graph.node if node.op_type == "Constant" and node.output)
    return found | {node.output[0]: node.attribute[0].t for node in constants if node.attribute}


def _part(node: Any, constants: Mapping[str, Any], activation: Activation | None) -> Part:
    """The layer of one node."""
    from onnx import helper

    options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    direction = _text(options.get("direction", b"forward"))
    directions = _DIRECTIONS.get(direction, 0)
    _check_options(node, options, directions)
    activation = _activation(node, options, directions, activation)
    kind = node.op_type
    cell = {"LSTM": LSTMParams, "GRU": ResetBeforeGRUParams, "RNN": ElmanParams}[kind]
    if kind == "GRU" and options.get("linear_before_reset"):
        cell = GRUParams
    weights = _weights(node, constants, directions)
    cells = [_cell(kind, cell, *(array[i] for array in weights)) for i in range(directions)]
    if directions == 2:
        return two_way(*cells, activation)
    return one_way(*cells, activation, reverse=direction == "reverse")


def _weights(node, constants, directions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W (D, G*H, I), R (D, G*H, H) and B (D, 2*G*H), checked."""
    names = dict(zip(("X", "W", "R", "B"), node.input, strict=False))
    given = {role: name for role, name in names.items() if name and role != "X"}
    arrays = {role: _tensor(node, role, constants.get(name)) for role, name in given.items()}
    for role in "WR":
        if role not in arrays or arrays[role].ndim != 3 or 0 in arrays[role].shape:
            raise ValueError(
                f"`{role}` of {_label(node)} must be a tensor with three nonempty axes."
            )
    _, rows, hidden_size = arrays["R"].shape
    count_gates("R", rows, hidden_size, {len(ORDER[node.op_type])})
    shapes = {
        "W": (directions, rows, arrays["W"].shape[2]),
        "R": (directions, rows, hidden_size),
        "B": (directions, 2 * rows),
    }
    check_shapes(arrays, shapes)
    none = np.zeros(shapes["B"], arrays["R"].dtype)
    return arrays["W"], arrays["R"], arrays.get("B", none)


def _tensor(node, role, tensor) -> np.ndarray:
    from onnx import numpy_helper

    if tensor is None or tensor.data_location == tensor.EXTERNAL:
        raise ValueError(
            f"`{role}` of {_label(node)} is not in the model: it is computed in the graph, is an "
            "input, or is in an external file that was not loaded. Fold the constants, or load the "
            "external data."
        )
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"`{role}` of {_label(node)} is not a valid tensor: {error}. Is the model damaged?"
        ) from error
    return as_numpy(role, array)


def _cell(kind, cell, w, r, b) -> CellParams:
    """The parameters of one direction."""
    arrays = (reorder(a, ORDER[kind], GATES[cell]) for a in (w.T, r.T, *np.split(b, 2)))
    return join_biases(TwoBiases(*arrays), cell)


def _activation(node, options, directions, given: Activation | None) -> Activation:
    """The activation of an RNN node: `given`, or its own. Raises if it is not supported."""
    usual = _GATE_FUNCTIONS.get(node.op_type, ["Tanh"]) * directions
    names = [_text(name) for name in options.get("activations") or ()] or usual
    if node.op_type == "RNN" and given:
        return given
    own = ACTIVATIONS.get(names[0].lower()) if len(set(names)) == 1 else None
    if names != usual and not (node.op_type == "RNN" and own):
        raise ValueError(
            f"`activations` of {_label(node)} must be {usual}, got {names}. An RNN node may also "
            f"have {sorted(ACTIVATIONS)}, or any function that you pass as `activation`."
        )
    return own or jnp.tanh


def _check_options(node, options, directions):
    if not directions:
        raise ValueError(f"`direction` of {_label(node)} must be one of {sorted(_DIRECTIONS)}.")
    peepholes = node.input[7] if node.op_type == "LSTM" and len(node.input) > 7 else ""
    found = {"clip": options.get("clip"), "input_forget": options.get("input_forget")}
    found["P (peepholes)"] = peepholes
    unknown = sorted(name for name, value in found.items() if value)
    if unknown:
        raise ValueError(f"{_label(node)} has {', '.join(unknown)}, which no jaxrnn cell supports.")


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _label(node) -> str:
    return f"{node.op_type} node {node.name!r}"
