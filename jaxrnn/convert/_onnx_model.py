"""ONNX models of networks."""

import itertools
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import check_bool
from jaxrnn._core.types import Params
from jaxrnn.activations import Activation
from jaxrnn.cells import CoupledLSTMParams, PeepholeLSTMParams
from jaxrnn.convert._arrays import check_one_dtype
from jaxrnn.convert._cell_layers import CellLayer, uniform_cell_layers
from jaxrnn.convert._feedforward import checked_dense, checked_embed, entries_of
from jaxrnn.convert._gates import GATES
from jaxrnn.convert._onnx_layers import (
    LSTMS,
    Piece,
    Place,
    dense_piece,
    embed_piece,
    mask_piece,
    recurrent_piece,
)
from jaxrnn.layers import DenseParams, EmbedParams

_OPSET = 22  # the first in which these operators support bfloat16
_IR_VERSION = 10  # the version of the first release with that opset
_CELLS = (*GATES, PeepholeLSTMParams, CoupledLSTMParams)
_Checked = DenseParams | EmbedParams | CellLayer


def to_onnx(
    params: Params,
    *,
    activation: Activation = jnp.tanh,
    streaming: bool = False,
    lengths: bool = False,
) -> Any:
    """An ONNX model with these parameters: xs (T, B, I) -> ys (T, B, F).

    F is the number of features of the last layer: H for a cell, or 2H for two directions. If the
    first layer is an embedding, xs are int32 symbols (T, B).

    Args:
      params: `LSTMParams`, `GRUParams`, `ResetBeforeGRUParams`, `ElmanParams`,
        `PeepholeLSTMParams` or `CoupledLSTMParams`, a `BidirectionalParams` of two of one kind,
        `DenseParams`, or a tuple of any of these, as in `jaxrnn.stack`, which may begin with
        `EmbedParams`. A bidirectional layer must use ``merge="concat"``. Layers without parameters,
        such as `jaxrnn.dropout` and pools, are left out.
      activation: the activation of cells with `ElmanParams`: `jnp.tanh`, `jax.nn.relu` or
        `jax.nn.sigmoid`.
      streaming: whether the model takes and returns the carry. If so, each recurrent layer i, of
        those with parameters, has an input ``h_i`` (B, H), for an LSTM also ``c_i``, and outputs
        ``next_h_i`` and ``next_c_i``. If not, the carry starts at zero and is not returned.
      lengths: whether the model takes ``lengths`` (B,), int32: the number of steps of each row, as
        with ``mask=jaxrnn.length_mask(lengths, T)``.

    Returns:
      An `onnx.ModelProto` with dynamic T and B.

    Raises:
      ValueError, TypeError: ONNX has no such operator, the shapes are inconsistent, or `streaming`
        is requested for a bidirectional layer.

    Examples:
      >>> params = jaxrnn.gru(4).init(jax.random.key(0), jnp.zeros((3, 5)))
      >>> graph = jaxrnn.convert.to_onnx(params, streaming=True).graph
      >>> [value.name for value in graph.input], [value.name for value in graph.output]
      (['xs', 'h_0'], ['ys', 'next_h_0'])
    """
    from onnx import helper, numpy_helper

    check_bool("streaming", streaming)
    check_bool("lengths", lengths)
    layers = [_checked(i, entry) for i, entry in enumerate(entries_of(params))]
    _check_widths(layers)
    states = [_states(i, layer) if streaming else [] for i, layer in enumerate(layers)]
    is_masked = lengths and not _is_recurrent(layers[-1])
    targets = [f"ys_{i}" for i in range(len(layers))]
    targets[-1] = "unmasked" if is_masked else "ys"
    places = map(Place, range(len(layers)), ["xs", *targets], targets)
    given = lengths * "lengths"
    pieces = [
        _piece(place, layer, activation, names, given)
        for place, layer, names in zip(places, layers, states, strict=True)
    ]
    if is_masked:
        pieces.append(mask_piece("unmasked", "ys", given, layers[-1][0].dtype))
    nodes = [node for piece in pieces for node in piece.nodes]
    arrays = {"direction": np.array([0])} if any(states) else {}
    for piece in pieces:
        arrays |= piece.arrays
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "jaxrnn", *_ends(layers, states, given), tensors)
    opset = helper.make_opsetid("", _OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)


def _checked(i: int, entry: Params) -> _Checked:
    """The parameters of one layer as NumPy arrays. Raises for a layer that ONNX has not."""
    if isinstance(entry, DenseParams):
        return checked_dense(entry)
    if isinstance(entry, EmbedParams) and i == 0:
        return checked_embed(entry)
    if isinstance(entry, EmbedParams):
        raise ValueError(
            f"Layer {i} is an embedding, which reads symbols, but it is not the first layer."
        )
    (layer,) = uniform_cell_layers("an ONNX node", _CELLS, entry, first=i)
    return layer


def _is_recurrent(layer: _Checked) -> bool:
    return not isinstance(layer, DenseParams | EmbedParams)


def _inputs(layer: _Checked) -> int:
    return len(layer[0].kernel if _is_recurrent(layer) else layer.kernel)


def _outputs(layer: _Checked) -> int:
    if _is_recurrent(layer):
        return len(layer) * len(layer[0].recurrent_kernel)
    return layer[0].shape[1]


def _check_widths(layers: list[_Checked]) -> None:
    """Raises unless all layers have one dtype and each fits the outputs of the one before."""
    if not layers:
        raise ValueError("`params` have no parameters, so there is nothing to export.")
    arrays = [a for layer in layers for part in layer for a in _flat(part)]
    check_one_dtype(arrays)
    for i, (before, after) in enumerate(itertools.pairwise(layers)):
        if _outputs(before) != _inputs(after):
            raise ValueError(
                f"Layer {i} returns {_outputs(before)} features, but layer {i + 1} expects "
                f"{_inputs(after)}. Are the layers out of order, or does a bidirectional layer not "
                'use `merge="concat"`?'
            )


def _flat(part: Any) -> Iterable[np.ndarray]:
    """The arrays of a cell or of one field."""
    parts = part if isinstance(part, tuple) else (part,)
    return [array for array in parts if array is not None]


def _piece(
    place: Place, layer: _Checked, activation: Activation, states: list[str], lengths: str
) -> Piece:
    if isinstance(layer, DenseParams):
        return dense_piece(place, layer)
    if isinstance(layer, EmbedParams):
        return embed_piece(place, layer)
    return recurrent_piece(place, layer, activation, states, lengths)


def _states(i: int, layer: _Checked) -> list[str]:
    """The names of the carry of a layer."""
    if not _is_recurrent(layer):
        return []
    if len(layer) > 1:
        raise ValueError(
            f"`streaming` needs unidirectional layers, but layer {i} is bidirectional: its "
            "backward direction starts at the end of the sequence."
        )
    return [f"h_{i}", f"c_{i}"] if isinstance(layer[0], LSTMS) else [f"h_{i}"]


def _ends(
    layers: list[_Checked], states: list[list[str]], lengths: str
) -> tuple[list[Any], list[Any]]:
    """The inputs and the outputs of a model."""
    from onnx import TensorProto, helper

    first, last = layers[0], layers[-1]
    dtype = (first[0].kernel if _is_recurrent(first) else first[0]).dtype
    element = helper.np_dtype_to_tensor_dtype(dtype)

    def make(name, *shape):
        return helper.make_tensor_value_info(name, element, shape)

    symbols = helper.make_tensor_value_info("xs", TensorProto.INT32, ["T", "B"])
    is_embedding = isinstance(first, EmbedParams)
    inputs = [symbols if is_embedding else make("xs", "T", "B", _inputs(first))]
    outputs = [make("ys", "T", "B", _outputs(last))]
    if lengths:
        inputs.append(helper.make_tensor_value_info(lengths, TensorProto.INT32, ["B"]))
    for layer, names in zip(layers, states, strict=True):
        inputs += [make(name, "B", _outputs(layer)) for name in names]
        outputs += [make(f"next_{name}", "B", _outputs(layer)) for name in names]
    return inputs, outputs
