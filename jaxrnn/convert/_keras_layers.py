"""The layers of a Keras model, in order."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import describe
from jaxrnn.activations import Activation
from jaxrnn.convert._arrays import all_numpy
from jaxrnn.convert._feedforward import dense_part, dropout_part, embed_part
from jaxrnn.convert._keras_weights import read_cell
from jaxrnn.convert._network import Part, Unit, one_way, two_way, unit, usual_unit

_MERGE = {"concat": "concat", "sum": "sum", "mul": "mul", "ave": "mean"}
_RECURRENT = "LSTM", "GRU", "SimpleRNN", "RNN"
_CELLS = "LSTMCell", "GRUCell", "SimpleRNNCell", "ConvLSTMCell"
_ACTIVATIONS = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "linear": jax.nn.identity,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "softplus": jax.nn.softplus,
    "softsign": jax.nn.soft_sign,
    "silu": jax.nn.silu,
}


def is_a(source: Any, *kinds: str) -> bool:
    """Whether `source` is an instance of one of these Keras classes, without importing Keras."""
    bases = type(source).__mro__
    return any(b.__name__ in kinds and b.__module__.split(".")[0] == "keras" for b in bases)


def layer_parts(source: Any, activation: Activation | None, *, is_last: bool = True) -> list[Part]:
    """The jaxrnn layers of one Keras layer, or of a mapping of arrays.

    Args:
      source: the layer.
      activation: of SimpleRNNs; None means their own.
      is_last: whether no layer reads its outputs.
    """
    if isinstance(source, Mapping):
        params = read_cell(all_numpy(source), reset_after=None)
        return [one_way(usual_unit(params, activation or jnp.tanh))]
    label = f"`{getattr(source, 'name', '')}` ({type(source).__name__})"
    if is_a(source, "TimeDistributed") and is_a(source.layer, "Dense", "Dropout"):
        return layer_parts(source.layer, activation)
    if is_a(source, "Bidirectional"):
        return [_bidirectional(source, activation, label, is_last)]
    if is_a(source, *_RECURRENT, *_CELLS):
        _check_forward(source)
        cells = _cells(source)
        names = [f"{label}, cell {i}" if len(cells) > 1 else label for i in range(len(cells))]
        units = [_unit(cell, activation, label) for cell in cells]
        return [one_way(cell, label=name) for cell, name in zip(units, names, strict=True)]
    return list(_feedforward(source, label))


def _feedforward(source: Any, label: str) -> Iterator[Part]:
    if is_a(source, "Dense"):
        _check_built(source)
        if source.activation.__name__ != "linear":
            raise ValueError(
                f"{label} has the activation {source.activation.__name__}, and a `jaxrnn.dense` "
                "has none. Convert the layers before and after it separately, and apply the "
                "activation in between."
            )
        yield dense_part(*_arrays(source, "kernel", "bias"), label)
    elif is_a(source, "Embedding"):
        _check_built(source)
        yield embed_part(*_arrays(source, "embeddings"), label)
    elif is_a(source, "Dropout"):
        yield dropout_part(source.rate, label)
    elif not is_a(source, "InputLayer", "Masking"):
        is_layer = is_a(source, "Layer")
        cause = f"{label} has no jaxrnn layer" if is_layer else f"got {describe(source)}"
        raise TypeError(
            "`source` must consist of Keras LSTM, GRU, SimpleRNN, RNN, ConvLSTM1D to 3D, "
            "Bidirectional, Dense, TimeDistributed(Dense), Embedding and Dropout layers, or be a "
            "mapping of arrays: "
            f"{cause}. For a larger model, pass a list of such layers. Load arrays without names "
            "into a layer first."
        )


def _bidirectional(source, activation, label, is_last):
    if source.merge_mode not in _MERGE:
        raise ValueError(
            f"`merge_mode` of {label} must be one of {sorted(_MERGE)}, got "
            f"{source.merge_mode!r}. Convert `forward_layer` and `backward_layer` separately."
        )
    if not (is_last or source.forward_layer.return_sequences):
        raise ValueError(
            f"{label} hands the layer after it the last outputs of both directions, which are at "
            "the two ends of the sequence: no jaxrnn layer does. Convert the layers before and "
            "after separately, or use `return_sequences=True`."
        )
    layers = source.forward_layer, source.backward_layer
    _check_forward(layers[0])
    cells = [_cells(layer) for layer in layers]
    if any(len(found) > 1 for found in cells):
        raise ValueError(
            f"{label} has a StackedRNNCells in each direction. Only one cell can be converted: "
            "convert `forward_layer` and `backward_layer` separately."
        )
    units = [_unit(cell, activation, label) for (cell,) in cells]
    return two_way(*units, merge=_MERGE[source.merge_mode], label=label)


def _check_forward(source: Any) -> None:
    if getattr(source, "go_backwards", False):
        raise ValueError(
            f"{source.name} has `go_backwards=True`, so it returns its outputs last step first, "
            "which no jaxrnn layer does. Convert a layer without it, and flip its inputs with "
            "`jnp.flip(xs, 0)`."
        )


def _cells(source: Any) -> list[Any]:
    """The cells of a recurrent layer, first layer first."""
    if is_a(source, *_RECURRENT):
        _check_built(source)
        return _cells(source.cell)
    if is_a(source, "StackedRNNCells"):
        return [inner for cell in source.cells for inner in _cells(cell)]
    return [source]


def _unit(cell: Any, given: Activation | None, label: str) -> Unit:
    if not is_a(cell, *_CELLS):
        raise TypeError(
            f"{label} has the cell {describe(cell)}, which must be an LSTMCell, GRUCell, "
            "SimpleRNNCell or ConvLSTMCell, or a StackedRNNCells of them."
        )
    _check_built(cell)
    names = "kernel", "recurrent_kernel", "bias"
    arrays = {n: a for n, a in zip(names, _arrays(cell, *names), strict=True) if a is not None}
    params = read_cell(arrays, getattr(cell, "reset_after", None))
    if is_a(cell, "SimpleRNNCell"):
        return unit(params, activation=given or _activation(cell, "activation", label))
    return unit(
        params,
        gate_activation=_activation(cell, "recurrent_activation", label),
        activation=_activation(cell, "activation", label),
        **(_convolution(cell, label) if is_a(cell, "ConvLSTMCell") else {}),
    )


def _convolution(cell: Any, label: str) -> dict[str, Any]:
    """The options of a ConvLSTM. Raises if its convolution does not keep the size of pictures."""
    usual = {"padding": "same", "data_format": "channels_last", "strides": (1,) * cell.rank}
    for name, value in usual.items():
        if getattr(cell, name) != value:
            raise ValueError(
                f"`{name}` of {label} must be {value!r}, as in `jaxrnn.conv_lstm`, whose pictures "
                f"keep their size and have their channels last, got {getattr(cell, name)!r}."
            )
    return {"dilation": cell.dilation_rate} if any(d > 1 for d in cell.dilation_rate) else {}


def _activation(cell: Any, field: str, label: str) -> Activation:
    """The function of a cell that is `field`. Raises if jaxrnn has no such function."""
    name = getattr(getattr(cell, field), "__name__", "")
    if name not in _ACTIVATIONS:
        raise ValueError(
            f"`{field}` of {label} must be one of {sorted(_ACTIVATIONS)}, got {name!r}. For a "
            "SimpleRNN, another function can be passed as `activation`."
        )
    return _ACTIVATIONS[name]


def _check_built(source):
    if not source.built:
        raise ValueError(f"{source.name} is not built, so it has no weights yet. Call it once.")


def _arrays(source, *names):
    """These variables of a layer as NumPy arrays; None for one that it lacks."""
    found = {name: getattr(source, name, None) for name in names}
    arrays = all_numpy({n: getattr(v, "value", v) for n, v in found.items() if v is not None})
    return [arrays.get(name) for name in names]
