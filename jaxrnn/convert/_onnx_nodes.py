"""The nodes of ONNX models that have weights, as layers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxrnn.activations import Activation
from jaxrnn.cells import (
    CoupledLSTMParams,
    ElmanParams,
    GRUParams,
    LSTMParams,
    PeepholeLSTMParams,
    ResetBeforeGRUParams,
)
from jaxrnn.convert._arrays import as_numpy, check_shapes, count_gates
from jaxrnn.convert._feedforward import dense_part, embed_part
from jaxrnn.convert._gates import ALL_GATES, CellParams, TwoBiases, join_biases, reorder
from jaxrnn.convert._network import Part, one_way, two_way, unit
from jaxrnn.convert._onnx_activations import node_activations

ORDER = {"LSTM": "iofg", "GRU": "zrn", "RNN": "h"}
PEEPHOLES = "iof"
_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
_INPUTS = "X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"


def label_of(node: Any) -> str:
    """What error messages call a node."""
    return f"{node.op_type} node {node.name!r}"


def recurrent_part(node: Any, constants: Mapping[str, Any], activation: Activation | None) -> Part:
    """The layer of an LSTM, GRU or RNN node."""
    options, label = _options(node), label_of(node)
    direction = _direction(options, label)
    directions = _DIRECTIONS[direction]
    functions = node_activations(node.op_type, options, directions, activation, label)
    weights = _weights(node, constants, directions)
    sides = [{role: array[i] for role, array in weights.items()} for i in range(directions)]
    cells = [_cell(node.op_type, options, side) for side in sides]
    units = [unit(cell, **given) for cell, given in zip(cells, functions, strict=True)]
    if directions == 2:
        return two_way(*units, label=label)
    return one_way(*units, reverse=direction == "reverse", label=label)


def _direction(options, label):
    value = options.get("direction", b"forward")
    direction = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    if direction not in _DIRECTIONS:
        raise ValueError(
            f"`direction` of {label} must be one of {sorted(_DIRECTIONS)}, got {direction!r}."
        )
    return direction


def _options(node):
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _weights(node, constants, directions) -> dict[str, np.ndarray]:
    """W (D, G*H, I), R (D, G*H, H), and, where given, B (D, 2*G*H) and P (D, 3*H), checked."""
    names = dict(zip(_INPUTS, node.input, strict=False))
    given = {role: name for role, name in names.items() if name and role in ("W", "R", "B", "P")}
    arrays = {role: tensor(node, role, constants.get(name)) for role, name in given.items()}
    for role in "WR":
        if role not in arrays or arrays[role].ndim != 3 or 0 in arrays[role].shape:
            raise ValueError(
                f"`{role}` of {label_of(node)} must be a tensor with three nonempty axes."
            )
    _, rows, hidden_size = arrays["R"].shape
    count_gates("R", rows, hidden_size, {len(ORDER[node.op_type])})
    shapes = {
        "W": (directions, rows, arrays["W"].shape[2]),
        "R": (directions, rows, hidden_size),
        "B": (directions, 2 * rows),
        "P": (directions, 3 * hidden_size),
    }
    check_shapes(arrays, shapes)
    return arrays


def _cell(kind: str, options: dict[str, Any], weights: dict[str, np.ndarray]) -> CellParams:
    """The parameters of one direction."""
    peephole = weights.get("P")
    coupled = kind == "LSTM" and options.get("input_forget")
    if kind == "LSTM":
        plain = LSTMParams if peephole is None else PeepholeLSTMParams
        cell = CoupledLSTMParams if coupled else plain
    elif kind == "GRU":
        cell = GRUParams if options.get("linear_before_reset") else ResetBeforeGRUParams
    else:
        cell = ElmanParams
    biases = np.split(weights["B"], 2) if "B" in weights else (None, None)
    arrays = (weights["W"].T, weights["R"].T, *biases)
    ordered = (reorder(a, ORDER[kind], ALL_GATES[cell]) for a in arrays)
    seen = "io" if coupled else "ifo"
    others = {} if peephole is None else {"peephole": reorder(peephole, PEEPHOLES, seen)}
    return join_biases(TwoBiases(*ordered), cell, **others)


def is_dense(node: Any, constants: Mapping[str, Any]) -> bool:
    """Whether a node multiplies by a constant matrix."""
    if node.op_type not in ("MatMul", "Gemm") or len(node.input) < 2:
        return False
    x, kernel = node.input[:2]
    return kernel in constants and x not in constants and len(constants[kernel].dims) == 2


def is_vector(name: str, constants: Mapping[str, Any]) -> bool:
    """Whether this is a constant with one axis, as a bias has."""
    return name in constants and len(constants[name].dims) == 1


def dense_layer(node: Any, bias: str | None, constants: Mapping[str, Any]) -> Part:
    """The layer of a Gemm or MatMul node; `bias` is the name of what an Add node adds to it."""
    options, label = _options(node), label_of(node)
    unusual = {
        name: options[name]
        for name, usual in (("transA", 0), ("alpha", 1.0), ("beta", 1.0))
        if options.get(name, usual) != usual
    }
    if unusual:
        raise ValueError(f"{label} has {unusual}, which a `jaxrnn.dense` has not.")
    kernel = tensor(node, "B", constants[node.input[1]])
    kernel = kernel.T if options.get("transB") else kernel
    bias = node.input[2] if node.op_type == "Gemm" and len(node.input) > 2 else bias
    added = tensor(node, "C", constants.get(bias)) if bias else None
    if added is not None:
        one = added.size == 1
        added = np.broadcast_to(added.ravel(), kernel.shape[1:]) if one else added.ravel()
    return dense_part(kernel, added, label)


def is_embedding(node: Any, constants: Mapping[str, Any]) -> bool:
    """Whether a node looks symbols up in a constant table."""
    if node.op_type != "Gather" or len(node.input) < 2 or _options(node).get("axis", 0):
        return False
    table, symbols = node.input[:2]
    return table in constants and symbols not in constants and len(constants[table].dims) == 2


def embed_layer(node: Any, constants: Mapping[str, Any]) -> Part:
    """The layer of a Gather node."""
    return embed_part(tensor(node, "data", constants[node.input[0]]), label_of(node))


def tensor(node: Any, role: str, found: Any) -> np.ndarray:
    """A constant of a node as an array."""
    from onnx import numpy_helper

    if found is None or found.data_location == found.EXTERNAL:
        raise ValueError(
            f"`{role}` of {label_of(node)} is not in the model: it is computed in the graph, is an "
            "input, or is in an external file that was not loaded. Fold the constants, or load the "
            "external data."
        )
    try:
        array = numpy_helper.to_array(found)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"`{role}` of {label_of(node)} is not a valid tensor: {error}. Is the model damaged?"
        ) from error
    return as_numpy(role, array)
