"""The nodes and tensors of ONNX models, layer by layer."""

from typing import Any, NamedTuple

import numpy as np

from jaxrnn.activations import Activation
from jaxrnn.cells import (
    CoupledLSTMParams,
    ElmanParams,
    GRUParams,
    LSTMParams,
    PeepholeLSTMParams,
)
from jaxrnn.convert._cell_layers import CellLayer
from jaxrnn.convert._gates import ALL_GATES, CellParams, reorder, split_biases
from jaxrnn.convert._network import ACTIVATIONS
from jaxrnn.convert._onnx_nodes import ORDER, PEEPHOLES
from jaxrnn.layers import DenseParams, EmbedParams

LSTMS = LSTMParams, PeepholeLSTMParams, CoupledLSTMParams


class Piece(NamedTuple):
    """A part of a graph."""

    nodes: list[Any]
    arrays: dict[str, np.ndarray]


class Place(NamedTuple):
    """Where a layer is in the graph."""

    i: int
    source: str  # what it reads
    target: str  # what it makes


def dense_piece(place: Place, params: DenseParams) -> Piece:
    """A matrix product and, if there is a bias, a sum."""
    from onnx import helper

    i, source, target = place
    kernel, bias = f"kernel_{i}", f"bias_{i}"
    if params.bias is None:
        product = helper.make_node("MatMul", [source, kernel], [target], name=f"layer_{i}")
        return Piece([product], {kernel: params.kernel})
    nodes = [
        helper.make_node("MatMul", [source, kernel], [f"product_{i}"], name=f"layer_{i}"),
        helper.make_node("Add", [f"product_{i}", bias], [target]),
    ]
    return Piece(nodes, {kernel: params.kernel, bias: params.bias})


def embed_piece(place: Place, params: EmbedParams) -> Piece:
    """A lookup."""
    from onnx import helper

    i, source, target = place
    table = f"embedding_{i}"
    node = helper.make_node("Gather", [table, source], [target], name=f"layer_{i}", axis=0)
    return Piece([node], {table: params.embedding})


def recurrent_piece(
    place: Place, layer: CellLayer, activation: Activation, states: list[str], lengths: str
) -> Piece:
    """An operator, and a reshape of its outputs to (T, B, D*H).

    The operator's outputs are (T, D, B, H), and its states (D, B, H) with D = 1.

    Args:
      place: of the layer.
      layer: its cells.
      activation: of a vanilla RNN.
      states: the names of the carry; none where the model does not take it.
      lengths: the name of the lengths; empty where the model does not take them.
    """
    from onnx import helper

    i, source, target = place
    arrays = {f"{role}_{i}": array for role, array in _arrays(layer).items()}
    arrays[f"shape_{i}"] = np.array([0, 0, len(layer) * len(layer[0].recurrent_kernel)])
    b, p = (name if name in arrays else "" for name in (f"B_{i}", f"P_{i}"))
    initial = [f"initial_{name}" for name in states]
    inputs = [source, f"W_{i}", f"R_{i}", b, lengths, *initial]
    inputs += [""] * (7 - len(inputs)) + [p] if p else []
    while not inputs[-1]:
        inputs.pop()
    outputs = [f"Y_{i}", *(f"last_{name}" for name in states)]

    def make_state(kind, before, after):
        names = ((before + name, after + name) for name in states)
        return [helper.make_node(kind, [a, "direction"], [b]) for a, b in names]

    attributes = _attributes(layer, activation)
    operator = attributes.pop("operator")
    nodes = [
        *make_state("Unsqueeze", "", "initial_"),
        helper.make_node(operator, inputs, outputs, name=f"layer_{i}", **attributes),
        *make_state("Squeeze", "last_", "next_"),
        helper.make_node("Transpose", [f"Y_{i}"], [f"Y_{i}_by_batch"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", [f"Y_{i}_by_batch", f"shape_{i}"], [target]),
    ]
    return Piece(nodes, arrays)


def mask_piece(source: str, target: str, lengths: str, dtype: Any) -> Piece:
    """Zeros beyond the length of each row: (T, B, F), with ``xs`` (T, B, ...) for T."""
    from onnx import TensorProto, helper

    def node(kind, inputs, output, **attributes):
        return helper.make_node(kind, inputs, [output], **attributes)

    arrays = {"zero": np.array(0), "one": np.array(1), "padding": np.zeros((), dtype)}
    arrays |= {f"axis_{k}": np.array([k]) for k in range(3)}
    nodes = [
        node("Shape", ["xs"], "num_steps_in_a_list", start=0, end=1),
        node("Squeeze", ["num_steps_in_a_list", "axis_0"], "num_steps"),
        node("Range", ["zero", "num_steps", "one"], "steps"),
        node("Unsqueeze", ["steps", "axis_1"], "steps_of_rows"),
        node("Cast", [lengths], "row_lengths", to=TensorProto.INT64),
        node("Less", ["steps_of_rows", "row_lengths"], "mask"),
        node("Unsqueeze", ["mask", "axis_2"], "mask_of_features"),
        node("Where", ["mask_of_features", source, "padding"], target),
    ]
    return Piece(nodes, arrays)


def _attributes(layer: CellLayer, activation: Activation) -> dict[str, Any]:
    kind = type(layer[0])
    attributes = {
        "operator": _operator(kind),
        "hidden_size": len(layer[0].recurrent_kernel),
        "direction": "bidirectional" if len(layer) == 2 else "forward",
    }
    if kind is CoupledLSTMParams:
        attributes["input_forget"] = 1
    if attributes["operator"] == "GRU":
        attributes["linear_before_reset"] = int(kind is GRUParams)
    if attributes["operator"] == "RNN":
        attributes["activations"] = [_name_of(activation)] * len(layer)
    return attributes


def _operator(kind: type[CellParams]) -> str:
    return "LSTM" if kind in LSTMS else "RNN" if kind is ElmanParams else "GRU"


def _name_of(activation: Activation) -> str:
    names = {function: name.capitalize() for name, function in ACTIVATIONS.items()}
    if activation not in names:
        raise ValueError(
            f"`activation` must be jnp.tanh, jax.nn.relu or jax.nn.sigmoid, got {activation!r}. "
            "ONNX has a fixed list of activations."
        )
    return names[activation]


def _arrays(layer: CellLayer) -> dict[str, np.ndarray]:
    """W (D, G*H, I), R (D, G*H, H), and, where there are any, B (D, 2*G*H) and P (D, 3*H)."""
    order = ORDER[_operator(type(layer[0]))]
    split = [_all_gates(cell, order) for cell in layer]
    kernels, recurrent_kernels, *biases = zip(*split, strict=True)
    w, r = (np.stack([kernel.T for kernel in side]) for side in (kernels, recurrent_kernels))
    arrays = {"W": w, "R": r}
    if layer[0].bias is not None:
        arrays["B"] = np.concatenate([np.stack(b) for b in biases], axis=-1)
    peepholes = [_peephole(cell) for cell in layer]
    return arrays | ({"P": np.stack(peepholes)} if peepholes[0] is not None else {})


def _all_gates(cell: CellParams, order: str) -> list[np.ndarray | None]:
    """The arrays of a cell in this order, with zeros for a forget gate that is 1 - i."""
    gates = ALL_GATES[type(cell)]
    missing = "".join(set(order) - set(gates))
    return [
        reorder(_with_zeros(array, len(gates), len(missing)), gates + missing, order)
        for array in split_biases(cell)
    ]


def _with_zeros(array, gates, missing):
    if array is None or not missing:
        return array
    zeros = np.zeros_like(array[..., : array.shape[-1] // gates * missing])
    return np.concatenate([array, zeros], axis=-1)


def _peephole(cell: CellParams) -> np.ndarray | None:
    peephole = getattr(cell, "peephole", None)
    if peephole is None:
        return None
    coupled = isinstance(cell, CoupledLSTMParams)
    full = _with_zeros(peephole, 2, 1) if coupled else peephole
    return reorder(full, "iof" if coupled else "ifo", PEEPHOLES)
