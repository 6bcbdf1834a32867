"""Weights from and to `torch.nn.LSTM`, `torch.nn.GRU` and `torch.nn.RNN`."""

import os
import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import describe
from jaxrnn._core.types import Params
from jaxrnn.cells import ElmanParams, GRUParams, LSTMParams, ProjectedLSTMParams
from jaxrnn.convert._arrays import all_numpy, check_matrix, check_names, check_shapes, count_gates
from jaxrnn.convert._cell_layers import uniform_cell_layers
from jaxrnn.convert._gates import CELLS, CellParams, TwoBiases, join_biases, split_biases
from jaxrnn.convert._network import ACTIVATIONS, Activation, Network, chain, directed
from jaxrnn.convert._safetensors import read_safetensors

_PEER = "a torch LSTM, GRU or RNN"
_CELLS = LSTMParams, ProjectedLSTMParams, GRUParams, ElmanParams
_WEIGHTS = "weight_ih", "weight_hh"
_MODES = {"LSTM": "tanh", "GRU": "tanh", "RNN_TANH": "tanh", "RNN_RELU": "relu"}


def from_torch(source: Any, *, prefix: str = "", activation: Activation | None = None) -> Network:
    """A layer with the weights of a torch LSTM, GRU or RNN, of any depth, also bidirectional.

    The two biases are summed, except for the recurrent bias of n in a GRU. An LSTM with `proj_size`
    becomes a `jaxrnn.projected_lstm`. The layer is time-first, regardless of `batch_first`. Dropout
    is omitted; to keep it, add `jaxrnn.dropout` between the layers.

    Args:
      source: the module, its state dict, or the path of a safetensors file. The values of a state
        dict can be tensors or NumPy arrays.
      prefix: the prefix of the module's weights in the state dict or file of a larger model, such
        as ``"encoder.lstm."``. Other weights are ignored.
      activation: the activation of an RNN. None means the activation of the module, or tanh if only
        weights are given.

    Returns:
      `Network`: the layer and its parameters.

    Raises:
      ValueError, TypeError: a weight is missing or unexpected, or has the wrong shape or dtype; or
        a file is not a valid safetensors file. Pickles are never opened.
    """
    arrays, mode = _read(source, prefix)
    depth = max(1, sum(bool(re.fullmatch(r"weight_hh_l\d+", name)) for name in arrays))
    suffixes = ["", "_reverse"] if any(name.endswith("_reverse") for name in arrays) else [""]
    biases = ["bias_ih", "bias_hh"] if any("bias" in name for name in arrays) else []
    projection = ["weight_hr"] if any("weight_hr" in name for name in arrays) else []
    ends = [[f"_l{i}{suffix}" for suffix in suffixes] for i in range(depth)]
    check_names(_PEER, arrays, _names([*_WEIGHTS, *biases, *projection], ends))
    activation = activation or ACTIVATIONS[_MODES[mode]]
    return chain(directed([_cell(arrays, end) for end in layer], activation) for layer in ends)


def to_torch(params: Params) -> dict[str, Any]:
    """The state dict of a torch module with these parameters, for ``module.load_state_dict(...)``.

    Args:
      params: `LSTMParams`, `ProjectedLSTMParams` (for ``proj_size=P``), `GRUParams` or
        `ElmanParams`, a `BidirectionalParams` of two of them, or a tuple of either, as in
        `jaxrnn.stack`. A bidirectional layer must use ``merge="concat"``.

    Returns:
      Tensors by name. The bias becomes `bias_ih`; `bias_hh` is zero except for the n of a GRU.

    Raises:
      ValueError, TypeError: torch has no such cell, or the layers do not fit into one module.
    """
    import torch

    tensors = {}
    for i, layer in enumerate(uniform_cell_layers(_PEER, _CELLS, params)):
        for suffix, cell in zip(("", "_reverse"), layer, strict=False):
            for name, array in _written(cell).items():
                tensors[f"{name}_l{i}{suffix}"] = _as_tensor(torch, array)
    return tensors


def _names(kinds, ends):
    return [f"{kind}{end}" for layer in ends for end in layer for kind in kinds]


def _read(source, prefix) -> tuple[dict[str, np.ndarray], str]:
    """The weights of `source`, and the mode of the module."""
    if isinstance(source, str | os.PathLike):
        return all_numpy(read_safetensors(source, prefix)), "RNN_TANH"
    if isinstance(source, Mapping):
        named = {str(name): value for name, value in source.items()}
        inner = {n.removeprefix(prefix): v for n, v in named.items() if n.startswith(prefix)}
        return all_numpy(inner), "RNN_TANH"
    if getattr(source, "mode", None) not in _MODES:
        raise TypeError(
            "`source` must be a torch.nn.LSTM, GRU or RNN, a state dict, or the path of a "
            f"safetensors file, got {describe(source)}. For a larger model, pass its recurrent "
            "module."
        )
    return _read(source.state_dict(), "")[0], source.mode


def _cell(arrays: Mapping[str, np.ndarray], end: str) -> CellParams:
    weight_ih, weight_hh, weight_hr = (f"{name}{end}" for name in (*_WEIGHTS, "weight_hr"))
    for name in (weight_ih, weight_hh, weight_hr):
        if name in arrays:
            check_matrix(name, arrays[name])
    rows, width = arrays[weight_hh].shape
    projection = arrays.get(weight_hr)
    hidden_size = width if projection is None else projection.shape[1]
    gates = count_gates(weight_hh, rows, hidden_size, CELLS if projection is None else {4})
    biases = {f"bias_ih{end}": (rows,), f"bias_hh{end}": (rows,)}
    inputs = {weight_ih: (rows, arrays[weight_ih].shape[1]), weight_hr: (width, hidden_size)}
    check_shapes(arrays, inputs | biases)
    none = np.zeros(rows, arrays[weight_hh].dtype)
    matrices = arrays[weight_ih].T, arrays[weight_hh].T
    weights = TwoBiases(*matrices, *(arrays.get(name, none) for name in biases))
    cell = join_biases(weights, CELLS[gates])
    return cell if projection is None else ProjectedLSTMParams(*cell, projection.T)


def _written(cell: CellParams) -> dict[str, np.ndarray]:
    """The arrays of a cell by torch name, without the suffix of the layer."""
    kernel, recurrent_kernel, bias, recurrent_bias = split_biases(cell)
    arrays = {
        "weight_ih": kernel.T,
        "weight_hh": recurrent_kernel.T,
        "bias_ih": bias,
        "bias_hh": recurrent_bias,
    }
    projected = isinstance(cell, ProjectedLSTMParams)
    return arrays | ({"weight_hr": cell.projection.T} if projected else {})


def _as_tensor(torch, array):
    if array.dtype == jnp.bfloat16:
        return torch.from_dlpack(jnp.array(array)).clone()
    return torch.from_numpy(np.ascontiguousarray(array))
