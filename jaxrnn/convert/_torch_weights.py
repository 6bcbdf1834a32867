"""The weights of one recurrent torch module, by their names in its state dict."""

import re
from collections.abc import Mapping

import numpy as np

from jaxrnn.activations import Activation
from jaxrnn.cells import ProjectedLSTMParams
from jaxrnn.convert._arrays import as_numpy, check_matrix, check_names, check_shapes, count_gates
from jaxrnn.convert._gates import CELLS, CellParams, TwoBiases, join_biases
from jaxrnn.convert._network import Part, Unit, as_jax, directed, usual_unit
from jaxrnn.wrappers import WeightNormParams, weight_norm

PEER = "a torch LSTM, GRU or RNN"
_WEIGHTS = "weight_ih", "weight_hh", "weight_hr"
_FIELDS = dict(zip(_WEIGHTS, ("kernel", "recurrent_kernel", "projection"), strict=True))
# How `weight_norm` names a direction and its lengths: as a parametrization, and before torch 2.
_DIRECTION = "parametrizations.{}.original1"
_LENGTH = "parametrizations.{}.original0"
_NORMS = ((_DIRECTION, _LENGTH), ("{}_v", "{}_g"))


def recurrent_parts(
    arrays: Mapping[str, np.ndarray], activation: Activation, label: str = ""
) -> list[Part]:
    """The layers of a recurrent module, or the one layer of a cell.

    Args:
      arrays: its state dict.
      activation: of an RNN.
      label: of the module, for error messages.
    """
    arrays, lengths = _directions_and_lengths(arrays)
    ends = _ends(arrays)
    biases = ["bias_ih", "bias_hh"] if any("bias" in name for name in arrays) else []
    projection = ["weight_hr"] if any("weight_hr" in name for name in arrays) else []
    kinds = [*_WEIGHTS[:2], *biases, *projection]
    names = [f"{kind}{end}" for layer in ends for end in layer for kind in kinds]
    check_names(label or PEER, arrays, names)
    units = [[_unit(arrays, lengths, end, activation) for end in layer] for layer in ends]
    depth = len(units)
    labels = [f"{label}, layer {i}" if label and depth > 1 else label for i in range(depth)]
    return [directed(layer, label=name) for layer, name in zip(units, labels, strict=True)]


def _ends(arrays):
    """The ends of the names of each direction of each layer."""
    if "weight_hh" in arrays:
        return [[""]]  # of an LSTMCell, GRUCell or RNNCell
    depth = max(1, sum(bool(re.fullmatch(r"weight_hh_l\d+", name)) for name in arrays))
    suffixes = ["", "_reverse"] if any(name.endswith("_reverse") for name in arrays) else [""]
    return [[f"_l{i}{suffix}" for suffix in suffixes] for i in range(depth)]


def _directions_and_lengths(arrays):
    """The weights by their own names, and the lengths that `weight_norm` learns, by weight."""
    plain, lengths = dict(arrays), {}
    for direction, length in _NORMS:
        pattern = re.escape(length).replace(re.escape("{}"), r"(.+)")
        for found in filter(None, (re.fullmatch(pattern, name) for name in arrays)):
            weight = found[1]
            if direction.format(weight) in plain:
                lengths[weight] = plain.pop(found[0])
                plain[weight] = plain.pop(direction.format(weight))
    others = sorted(name for name in plain if name.startswith("parametrizations."))
    if others:
        raise ValueError(
            f"`{others[0]}` belongs to a parametrization that is not `weight_norm`. Replace it by "
            "its weight: `torch.nn.utils.parametrize.remove_parametrizations(module, name)`."
        )
    return plain, lengths


def _unit(arrays, lengths, end, activation) -> Unit:
    params = _cell(arrays, end)
    found = usual_unit(params, activation)
    gains = {_FIELDS[name]: lengths.get(f"{name}{end}") for name in _WEIGHTS}
    gains = {field: gain for field, gain in gains.items() if gain is not None}
    if not gains:
        return found
    for name in _WEIGHTS:
        _check_length(f"{name}{end}", arrays, lengths)
    nothing = type(params)(*(None for _ in params))
    columns = nothing._replace(**{field: gain[:, 0] for field, gain in gains.items()})
    normed = WeightNormParams(found.params, as_jax(columns))
    return found._replace(cell=weight_norm(found.cell, fields=tuple(gains)), params=normed)


def with_lengths(
    arrays: Mapping[str, np.ndarray], gains: CellParams, end: str
) -> dict[str, np.ndarray]:
    """`arrays`, with a direction and its lengths in place of each weight that has `gains`."""
    arrays = dict(arrays)
    for name, field in _FIELDS.items():
        gain = getattr(gains, field, None)
        if gain is not None:
            weight = f"{name}{end}"
            arrays[_DIRECTION.format(weight)] = arrays.pop(weight)
            arrays[_LENGTH.format(weight)] = as_numpy("gains", gain)[:, None]
    return arrays


def _check_length(name, arrays, lengths):
    """Raises unless there is one length for each row, as with ``dim=0``."""
    if name in lengths and lengths[name].shape != (len(arrays[name]), 1):
        raise ValueError(
            f"`weight_norm` of `{name}` must have one length for each row, as with the default "
            f"`dim=0`: expected {(len(arrays[name]), 1)}, got {lengths[name].shape}. Remove it "
            "first, with `torch.nn.utils.remove_weight_norm` or `remove_parametrizations`."
        )


def _cell(arrays: Mapping[str, np.ndarray], end: str) -> CellParams:
    weight_ih, weight_hh, weight_hr = (f"{name}{end}" for name in _WEIGHTS)
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
    matrices = arrays[weight_ih].T, arrays[weight_hh].T
    weights = TwoBiases(*matrices, *(arrays.get(name) for name in biases))
    if projection is None:
        return join_biases(weights, CELLS[gates])
    return join_biases(weights, ProjectedLSTMParams, projection=projection.T)
