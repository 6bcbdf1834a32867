"""Weights from and to `torch.nn.LSTM`, `torch.nn.GRU` and `torch.nn.RNN`."""

import os
import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrnn._checks import describe
from jaxrnn._types import Params
from jaxrnn.cells import ElmanParams, GRUParams, LSTMParams, ProjectedLSTMParams
from jaxrnn.convert._arrays import all_numpy, check_matrix, check_names, check_shapes, count_gates
from jaxrnn.convert._gates import CELLS, CellParams, TwoBiases, join_biases, split_biases
from jaxrnn.convert._levels import uniform_levels
from jaxrnn.convert._network import ACTIVATIONS, Activation, Network, chain, directed
from jaxrnn.convert._safetensors import read_safetensors

_PEER = "a torch LSTM, GRU or RNN"
_CELLS = LSTMParams, ProjectedLSTMParams, GRUParams, ElmanParams
_WEIGHTS = "weight_ih", "weight_hh"
_MODES = {"LSTM": "tanh", "GRU": "tanh", "RNN_TANH": "tanh", "RNN_RELU": "relu"}


def from_torch(source: Any, *, prefix: str = "", activation: Activation | None = None) -> Network:
    """A layer with the weights of a torch LSTM, GRU or RNN, of any depth, one-way or two-way.

    Two biases become one, their sum; of a GRU, the recurrent bias of n stays apart. An LSTM with
    `proj_size` becomes `jaxrnn.projected_lstm`. The layer is time-first, whatever `batch_first`
    was. Dropout has no weights, and is left out: where the module has it, put `jaxrnn.dropout`
    between layers.

    Args:
      source: the module, its state dict, or the path of a safetensors file. The values of a state
        dict may be tensors or NumPy arrays.
      prefix: of the names of its weights, in a state dict or a file of a larger model, as in
        ``"encoder.lstm."``; other names are not read.
      activation: of an RNN. None means that of the module; the tanh of torch where there are only
        weights, which do not tell.

    Returns:
      `Network`: the layer and its params.

    Raises:
      ValueError, TypeError: a weight is missing, too many, or of a wrong shape or dtype; a file is
        cut off or not safetensors. Pickles are refused unopened.
    """
    arrays, mode = _read(source, prefix)
    depth = max(1, sum(bool(re.fullmatch(r"weight_hh_l\d+", name)) for name in arrays))
    suffixes = ["", "_reverse"] if any(name.endswith("_reverse") for name in arrays) else [""]
    biases = ["bias_ih", "bias_hh"] if any("bias" in name for name in arrays) else []
    projection = ["weight_hr"] if any("weight_hr" in name for name in arrays) else []
    ends = [[f"_l{i}{suffix}" for suffix in suffixes] for i in range(depth)]
    check_names(_PEER, arrays, _names([*_WEIGHTS, *biases, *projection], ends))
    activation = activation or ACTIVATIONS[_MODES[mode]]
    return chain(directed([_cell(arrays, end) for end in level], activation) for level in ends)


def to_torch(params: Params) -> dict[str, Any]:
    """The state dict of a torch module with these parameters: ``module.load_state_dict(...)``.

    Args:
      params: `LSTMParams`, `ProjectedLSTMParams` (for ``proj_size=P``), `GRUParams` or
        `ElmanParams`, the `BidirectionalParams` of two of them, or a tuple of either, as of
        `jaxrnn.stack`. A two-way layer must join by ``"concat"``.

    Returns:
      Tensors by name. The bias is `bias_ih`, and `bias_hh` is zero, but for the n of a GRU.

    Raises:
      ValueError, TypeError: torch has no such cell, or no module with such layers.
    """
    import torch

    tensors = {}
    for i, level in enumerate(uniform_levels(_PEER, _CELLS, params)):
        for suffix, cell in zip(("", "_reverse"), level, strict=False):
            for name, array in _written(cell).items():
                tensors[f"{name}_l{i}{suffix}"] = _as_tensor(torch, array)
    return tensors


def _names(kinds, ends):
    return [f"{kind}{end}" for level in ends for end in level for kind in kinds]


def _read(source, prefix) -> tuple[dict[str, np.ndarray], str]:
    """The weights of a source, and the mode of its module."""
    if isinstance(source, str | os.PathLike):
        return all_numpy(read_safetensors(source, prefix)), "RNN_TANH"
    if isinstance(source, Mapping):
        named = {str(name): value for name, value in source.items()}
        inner = {n.removeprefix(prefix): v for n, v in named.items() if n.startswith(prefix)}
        return all_numpy(inner), "RNN_TANH"
    if getattr(source, "mode", None) not in _MODES:
        raise TypeError(
            "`source` must be a torch.nn.LSTM, GRU or RNN, a state dict, or the path of a "
            f"safetensors file, got {describe(source)}. Of a larger model, give its recurrent "
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
    """The arrays of a cell by the names of torch, but for their ends."""
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
