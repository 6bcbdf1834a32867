"""Weights from and to Keras 3: LSTM, GRU, SimpleRNN, Bidirectional and Sequential."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import describe
from jaxrnn._core.types import Params
from jaxrnn.cells import GRUParams, ResetBeforeGRUParams
from jaxrnn.convert._arrays import all_numpy, check_matrix, check_names, check_shapes, count_gates
from jaxrnn.convert._cell_layers import cell_layers
from jaxrnn.convert._gates import (
    CELLS,
    GATES,
    CellParams,
    TwoBiases,
    join_biases,
    reorder,
    split_biases,
)
from jaxrnn.convert._network import ACTIVATIONS, Activation, Network, Part, chain, one_way, two_way

_ORDER = {4: "ifgo", 3: "zrn", 1: "h"}
_MERGE = {"concat": "concat", "sum": "sum", "mul": "mul", "ave": "mean"}


def from_keras(source: Any, *, activation: Activation | None = None) -> Network:
    """A layer with the weights of Keras layers.

    The layer always returns the final carry and the time-first outputs of all steps, regardless of
    `return_sequences` and `return_state`. Dropout is omitted.

    Args:
      source: a built Keras LSTM, GRU, SimpleRNN or Bidirectional, or a Sequential or sequence of
        them. A mapping of arrays, ``{"kernel": ..., "recurrent_kernel": ..., "bias": ...}``, can
        stand for a layer.
      activation: the activation of a SimpleRNN. None means the activation of the layer, or tanh if
        only arrays are given.

    Returns:
      `Network`: the layer and its parameters.

    Raises:
      ValueError, TypeError: a layer is of another kind, is not built, has `go_backwards`, or has
        other activations; or a weight is missing or unexpected, or has the wrong shape or dtype.
    """
    return chain(_part(layer, activation) for layer in _layers(source))


def to_keras(params: Params) -> list[np.ndarray]:
    """The weights of Keras layers with these parameters, for ``layer.set_weights(...)``.

    Args:
      params: `LSTMParams`, `GRUParams` (for ``reset_after=True``, the Keras default),
        `ResetBeforeGRUParams` (for ``reset_after=False``) or `ElmanParams`, a
        `BidirectionalParams` of two of them, or a tuple of either, as in `jaxrnn.stack`.

    Returns:
      The arrays in the order of `set_weights` of a layer, or, for a tuple, of a Sequential.

    Raises:
      ValueError, TypeError: Keras has no such cell, or the shapes are inconsistent.
    """
    layers = cell_layers("Keras", tuple(GATES), params)
    cells = [cell for layer in layers for cell in layer]
    return [array for cell in cells for array in _written(cell)]


def _layers(source: Any) -> Sequence:
    """The layers of a model, a sequence or a single layer."""
    if _is_a(source, "Sequential"):
        return source.layers
    return source if isinstance(source, list | tuple) else [source]


def _is_a(source: Any, *kinds: str) -> bool:
    """Whether `source` is an instance of one of these Keras classes, without importing Keras."""
    bases = type(source).__mro__
    return any(b.__name__ in kinds and b.__module__.split(".")[0] == "keras" for b in bases)


def _part(source: Any, activation: Activation | None) -> Part:
    if not _is_a(source, "Bidirectional"):
        _check_forward(source)
        return one_way(_cell(source), _activation([source], activation))
    if source.merge_mode not in _MERGE:
        raise ValueError(
            f"`merge_mode` of {source.name} must be one of {sorted(_MERGE)}, got "
            f"{source.merge_mode!r}. Convert `forward_layer` and `backward_layer` separately."
        )
    layers = source.forward_layer, source.backward_layer
    _check_forward(layers[0])
    cells = [_cell(layer) for layer in layers]
    return two_way(*cells, _activation(layers, activation), merge=_MERGE[source.merge_mode])


def _check_forward(source: Any) -> None:
    if getattr(source, "go_backwards", False):
        raise ValueError(
            f"{source.name} has `go_backwards=True`, so it returns its outputs last step first, "
            "which no jaxrnn layer does. Convert a layer without it, and flip its inputs with "
            "`jnp.flip(xs, 0)`."
        )


def _cell(source: Any) -> CellParams:
    if isinstance(source, Mapping):
        return _read(all_numpy(source), reset_after=None)
    if not _is_a(source, "LSTM", "GRU", "SimpleRNN"):
        raise TypeError(
            "`source` must be a Keras LSTM, GRU or SimpleRNN, a Bidirectional or Sequential of "
            f"them, or a mapping of arrays, got {describe(source)}. For a larger model, pass a "
            "list of its recurrent layers. Load arrays without names into a layer first."
        )
    if not source.built:
        raise ValueError(f"{source.name} is not built, so it has no weights yet. Call it once.")
    names = ("kernel", "recurrent_kernel", "bias")
    variables = {name: getattr(source.cell, name) for name in names}
    arrays = {name: v.value for name, v in variables.items() if v is not None}
    return _read(all_numpy(arrays), getattr(source.cell, "reset_after", None))


def _activation(layers: Sequence, given: Activation | None) -> Activation:
    """The activation of SimpleRNN layers: `given`, or their own. Raises if it is not supported.

    An LSTM or GRU must have its default activations. A mapping of arrays is assumed to.
    """
    functions = {_functions(layer) for layer in layers if not isinstance(layer, Mapping)}
    gated = any(_is_a(layer, "LSTM", "GRU") for layer in layers)
    if given and not gated:
        return given
    known = {"tanh, sigmoid"} if gated else set(ACTIVATIONS)
    if len(functions) > 1 or not functions <= known:
        raise ValueError(
            f"The activations must be one of {sorted(known)}, got {sorted(functions)}. For a "
            "SimpleRNN, another function can be passed as `activation`."
        )
    return ACTIVATIONS[functions.pop().split(",")[0]] if functions else jnp.tanh


def _functions(layer: Any) -> str:
    """The names of the activation and, if there is one, of the recurrent activation."""
    names = ("activation", "recurrent_activation")
    return ", ".join(getattr(layer.cell, n).__name__ for n in names if hasattr(layer.cell, n))


def _read(arrays: Mapping[str, np.ndarray], reset_after: bool | None) -> CellParams:
    check_names("a Keras layer", arrays, ["kernel", "recurrent_kernel"], optional=["bias"])
    for name in ("kernel", "recurrent_kernel"):
        check_matrix(name, arrays[name])
    hidden_size, columns = arrays["recurrent_kernel"].shape
    gates = count_gates("recurrent_kernel", columns, hidden_size, CELLS)
    cell = _gru(arrays, reset_after) if gates == 3 else CELLS[gates]
    shape = (2, columns) if cell is GRUParams else (columns,)
    check_shapes(arrays, {"kernel": (len(arrays["kernel"]), columns), "bias": shape})
    bias = arrays.get("bias", np.zeros(shape, arrays["kernel"].dtype))
    kernels = arrays["kernel"], arrays["recurrent_kernel"]
    ordered = (reorder(array, _ORDER[gates], GATES[cell]) for array in (*kernels, bias))
    kernel, recurrent_kernel, bias = ordered
    if cell is not GRUParams:
        return cell(kernel, recurrent_kernel, bias)
    return join_biases(TwoBiases(kernel, recurrent_kernel, *bias), cell)


def _gru(arrays, reset_after):
    """Which GRU it is, by `reset_after` or else by the shape of the bias."""
    if reset_after is None and "bias" not in arrays:
        raise ValueError(
            "The arrays of a GRU without a bias do not show whether it has `reset_after`. Pass the "
            "layer, or a bias of zeros: (2, 3H) for `reset_after=True`, (3H,) for False."
        )
    reset_after = np.ndim(arrays["bias"]) == 2 if reset_after is None else reset_after
    return GRUParams if reset_after else ResetBeforeGRUParams


def _written(params: CellParams) -> list[np.ndarray]:
    arrays = list(params)
    if isinstance(params, GRUParams):
        kernel, recurrent_kernel, *biases = split_biases(params)
        arrays = [kernel, recurrent_kernel, np.stack(biases)]
    gates = GATES[type(params)]
    return [reorder(array, gates, _ORDER[len(gates)]) for array in arrays]
