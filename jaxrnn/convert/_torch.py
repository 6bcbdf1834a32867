"""Weights from and to torch: recurrent modules and cells, and networks of them."""

import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import describe
from jaxrnn._core.types import Params
from jaxrnn.activations import Activation
from jaxrnn.cells import ElmanParams, GRUParams, LSTMParams, ProjectedLSTMParams
from jaxrnn.convert._arrays import all_numpy
from jaxrnn.convert._cell_layers import directions, uniform_cell_layers
from jaxrnn.convert._gates import CellParams, split_biases
from jaxrnn.convert._network import Network, chain
from jaxrnn.convert._safetensors import read_safetensors
from jaxrnn.convert._torch_modules import module_parts
from jaxrnn.convert._torch_weights import PEER, recurrent_parts, with_lengths
from jaxrnn.wrappers import WeightNormParams

_CELLS = LSTMParams, ProjectedLSTMParams, GRUParams, ElmanParams


def from_torch(source: Any, *, prefix: str = "", activation: Activation | None = None) -> Network:
    """A layer with the weights of a torch module: a recurrent one, or a network of such modules.

    The two biases are summed, except for the recurrent bias of n in a GRU; a module with
    ``bias=False`` gives cells without biases. An LSTM with `proj_size` becomes a
    `jaxrnn.projected_lstm`, and a module under `torch.nn.utils.weight_norm` has cells in
    `jaxrnn.weight_norm`. The layer is time-first, regardless of `batch_first`. The dropout between
    the layers of a module is omitted; to keep it, add `jaxrnn.dropout`.

    Args:
      source: the module, its state dict, or the path of a safetensors file. The values of a state
        dict can be tensors or NumPy arrays. The module is an LSTM, GRU or RNN of any depth, also
        bidirectional, an LSTMCell, GRUCell or RNNCell, or one whose children are these, Linear,
        Embedding, Dropout or further such modules. The children must form a chain, in the order in
        which they are defined: `forward` is not read. A state dict or file is of a recurrent module
        or cell.
      prefix: the prefix of the module's weights in the state dict or file of a larger model, such
        as ``"encoder.lstm."``. Other weights are ignored.
      activation: the activation of an RNN. None means the activation of the module, or tanh if only
        weights are given.

    Returns:
      `Network`: the layer and its parameters. A `jaxrnn.dense` is applied to the outputs of all
      steps.

    Raises:
      ValueError, TypeError: a weight is missing or unexpected, or has the wrong shape or dtype; a
        child has no jaxrnn layer, or does not read as many features as the one before it returns;
        or a file is not a valid safetensors file. Pickles are never opened.

    Examples:
      >>> H, I = 4, 5
      >>> state_dict = {  # of a module with `self.encoder = torch.nn.GRU(I, H, bias=False)`
      ...     "encoder.weight_ih_l0": np.zeros((3 * H, I), np.float32),
      ...     "encoder.weight_hh_l0": np.zeros((3 * H, H), np.float32),
      ... }
      >>> jaxrnn.convert.from_torch(state_dict, prefix="encoder.").layer
      rnn(gru(4, use_bias=False))
    """
    if hasattr(source, "state_dict") and hasattr(source, "named_children"):
        parts = list(module_parts(source, activation))
        if not parts:
            raise TypeError(f"`source` has no layers, got {describe(source)}.")
        return chain(parts)
    return chain(recurrent_parts(_read(source, prefix), activation or jnp.tanh))


def to_torch(params: Params) -> dict[str, Any]:
    """The state dict of a torch module with these parameters, for ``module.load_state_dict(...)``.

    Args:
      params: `LSTMParams`, `ProjectedLSTMParams` (for ``proj_size=P``), `GRUParams` or
        `ElmanParams`, a `BidirectionalParams` of two of them, or a tuple of either, as in
        `jaxrnn.stack`. A bidirectional layer must use ``merge="concat"``. A cell can be in a
        `WeightNormParams`, for a module under `torch.nn.utils.parametrizations.weight_norm`.

    Returns:
      Tensors by name. The bias becomes `bias_ih`; `bias_hh` is zero except for the n of a GRU.
      Without biases, the state dict is of a module with ``bias=False``.

    Raises:
      ValueError, TypeError: torch has no such cell, or the layers do not fit into one module.

    Examples:
      >>> params = jaxrnn.gru(4).init(jax.random.key(0), jnp.zeros((3, 5)))
      >>> state_dict = jaxrnn.convert.to_torch(params)  # for `torch.nn.GRU(5, 4)`
      >>> [(name, *tensor.shape) for name, tensor in state_dict.items()]
      [('weight_ih_l0', 12, 5), ('weight_hh_l0', 12, 4), ('bias_ih_l0', 12), ('bias_hh_l0', 12)]
    """
    import torch

    weights = jax.tree.map(_without_gains, params, is_leaf=_has_gains)
    layers = uniform_cell_layers(PEER, _CELLS, weights)
    entries = params if type(params) is tuple else (params,)
    arrays = {}
    for i, (layer, entry) in enumerate(zip(layers, entries, strict=True)):
        ends = f"_l{i}", f"_l{i}_reverse"
        for end, cell, given in zip(ends, layer, directions(entry), strict=False):
            found = {f"{name}{end}": array for name, array in _written(cell).items()}
            arrays |= with_lengths(found, given.gains, end) if _has_gains(given) else found
    return {name: _as_tensor(torch, array) for name, array in arrays.items()}


def _read(source, prefix) -> dict[str, np.ndarray]:
    """The weights of a state dict or a file."""
    if isinstance(source, str | os.PathLike):
        return all_numpy(read_safetensors(source, prefix))
    if not isinstance(source, Mapping):
        raise TypeError(
            "`source` must be a torch module, a state dict, or the path of a safetensors file, got "
            f"{describe(source)}."
        )
    named = {str(name): value for name, value in source.items()}
    return all_numpy({n.removeprefix(prefix): v for n, v in named.items() if n.startswith(prefix)})


def _has_gains(entry):
    return isinstance(entry, WeightNormParams)


def _without_gains(entry):
    return entry.params if _has_gains(entry) else entry


def _written(cell: CellParams) -> dict[str, np.ndarray]:
    """The arrays of a cell by torch name, without the suffix of the layer."""
    kernel, recurrent_kernel, bias, recurrent_bias = split_biases(cell)
    arrays = {"weight_ih": kernel.T, "weight_hh": recurrent_kernel.T}
    if bias is not None:
        arrays |= {"bias_ih": bias, "bias_hh": recurrent_bias}
    projected = isinstance(cell, ProjectedLSTMParams)
    return arrays | ({"weight_hr": cell.projection.T} if projected else {})


def _as_tensor(torch, array):
    if array.dtype == jnp.bfloat16:
        return torch.from_dlpack(jnp.array(array)).clone()
    return torch.from_numpy(np.ascontiguousarray(array))
