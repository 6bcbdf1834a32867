"""The cells of a network, layer by layer, checked against what another library supports."""

from collections.abc import Collection
from typing import Any

import numpy as np

from jaxrnn._core.checks import describe
from jaxrnn._core.types import Params
from jaxrnn.cells import (
    ConvLSTMParams,
    CoupledLSTMParams,
    GRUParams,
    PeepholeLSTMParams,
    ProjectedLSTMParams,
    ResetBeforeGRUParams,
)
from jaxrnn.convert._arrays import as_numpy, check_kernel, check_matrix, check_shapes
from jaxrnn.convert._gates import ALL_GATES, CellParams
from jaxrnn.layers import BidirectionalParams

CellLayer = tuple[CellParams, ...]  # one cell, or the forward and the backward cell
_BIASES = "bias", "recurrent_bias"


def cell_layers(
    peer: str, cells: Collection[type], params: Params, *, fill: bool = False, first: int = 0
) -> list[CellLayer]:
    """The parameters of the one or two cells of each layer, as NumPy arrays.

    Args:
      peer: the name of the other library, for error messages.
      cells: the parameter types that it supports.
      params: the parameters of a cell or of `jaxrnn.bidirectional`, or a tuple of them, as in
        `jaxrnn.stack`.
      fill: whether zeros replace the biases that a cell lacks, for a library whose cells have them.
      first: the number of the first layer, for error messages.

    Raises:
      TypeError: `params` have another type, or the other library has no such cell.
      ValueError: the shapes of the arrays are inconsistent.
    """
    entries = params if type(params) is tuple and params else (params,)
    found = []
    for i, entry in enumerate(entries, first):
        label = f"Layer {i}: " if len(entries) > 1 or first else ""
        layer = [_checked(peer, cells, cell, label) for cell in directions(entry)]
        found.append(tuple(map(_with_biases, layer) if fill else layer))
    return found


def one_way_cell_layers(
    peer: str, cells: Collection[type], params: Params, *, fill: bool = False
) -> list[CellParams]:
    """`cell_layers` for a library without bidirectional layers: one cell for each layer."""
    found = cell_layers(peer, cells, params, fill=fill)
    if any(len(layer) > 1 for layer in found):
        raise TypeError(
            f"`params` are bidirectional, but {peer} has no bidirectional layer. Convert "
            "`params.forward` and `params.backward` separately."
        )
    return [cell for (cell,) in found]


def uniform_cell_layers(
    peer: str, cells: Collection[type], params: Params, *, fill: bool = False, first: int = 0
) -> list[CellLayer]:
    """`cell_layers` for a library whose layers share one kind of cell, size and direction count."""
    found = cell_layers(peer, cells, params, fill=fill, first=first)
    kinds = {_kind(layer, cell) for layer in found for cell in layer}
    if len(kinds) > 1:
        raise ValueError(
            f"All layers of {peer} must have one kind of cell, all with biases or all without, one "
            f"number of directions and one hidden size, got {sorted(kinds)}. Convert the layers "
            "one by one."
        )
    width = len(found[0]) * len(found[0][0].recurrent_kernel)
    for i, layer in enumerate(found[1:], 1):
        if len(layer[0].kernel) != width:
            raise ValueError(
                f"Layer {i} expects {len(layer[0].kernel)} features, but in {peer} it receives the "
                f"{width} concatenated outputs of the layer before it. Convert the "
                "layers one by one."
            )
    return found


def _kind(layer, cell):
    projected = isinstance(cell, ProjectedLSTMParams)
    sizes = cell.projection.shape if projected else cell.recurrent_kernel.shape[:1]
    biases = "with biases" if cell.bias is not None else "without biases"
    return type(cell).__name__, biases, len(layer), *sizes


def directions(entry: Any) -> tuple[Any, ...]:
    """The parameters of the one or two directions of a layer."""
    return tuple(entry) if isinstance(entry, BidirectionalParams) else (entry,)


def _checked(peer: str, cells: Collection[type], params: Any, label: str) -> CellParams:
    """The parameters of one cell, as NumPy arrays."""
    _check_type(peer, cells, params, label)
    fields = params._asdict()
    arrays = {name: as_numpy(name, a) for name, a in fields.items() if a is not None}
    check = check_kernel if isinstance(params, ConvLSTMParams) else check_matrix
    for name in ("kernel", "recurrent_kernel", "projection"):
        if name in fields:
            check(name, as_numpy(name, fields[name]))
    check_shapes(arrays, _shapes(type(params), arrays))
    cell = type(params)(**{name: arrays.get(name) for name in fields})
    lacks = {fields[name] is None for name in _BIASES if name in fields}
    return _with_biases(cell) if len(lacks) > 1 else cell


def _with_biases(params):
    """`params` with zeros for the biases that are None."""
    shapes = _shapes(type(params), {n: a for n, a in params._asdict().items() if a is not None})
    dtype = params.kernel.dtype
    lacking = [name for name in _BIASES if getattr(params, name, 0) is None]
    return params._replace(**{name: np.zeros(shapes[name], dtype) for name in lacking})


def _shapes(cell, arrays):
    """The shape of each array, given the shapes of the kernels."""
    *window, width, _ = arrays["recurrent_kernel"].shape  # of the outputs; a window to convolve
    hidden_size = len(arrays["projection"]) if "projection" in arrays else width
    columns = len(ALL_GATES[cell]) * hidden_size
    return {
        "kernel": (*window, arrays["kernel"].shape[-2], columns),
        "recurrent_kernel": (*window, width, columns),
        "bias": (columns,),
        "recurrent_bias": (hidden_size,),
        "projection": (hidden_size, width),
        "peephole": (columns - hidden_size,),
    }


def _check_no_peephole(peer, params, label):
    """Raises if a ConvLSTM has peepholes, which are an option of ours."""
    if isinstance(params, ConvLSTMParams) and params.peephole is not None:
        raise TypeError(
            f"{label}`params` are ConvLSTMParams with peepholes, which the ConvLSTM of {peer} does "
            "not have. If they are zeros, pass `params._replace(peephole=None)`."
        )


def _check_type(peer, cells, params, label):
    """Raises unless `params` are of a cell that the library has."""
    name = type(params).__name__
    if type(params) in cells:
        _check_no_peephole(peer, params, label)
        return
    for ours, theirs in ((GRUParams, ResetBeforeGRUParams), (ResetBeforeGRUParams, GRUParams)):
        if isinstance(params, ours) and theirs in cells:
            raise TypeError(
                f"{label}`params` are {name}, but {peer} needs {theirs.__name__}. With GRUParams "
                "the reset gate multiplies after the recurrent product, with ResetBeforeGRUParams "
                "before it. They are different functions, so the weights cannot be converted. "
                "Keras and ONNX support both."
            )
    if isinstance(params, ProjectedLSTMParams):
        raise TypeError(
            f"{label}`params` are {name}, but {peer} has no LSTM with a projection; torch "
            "has one, with `proj_size`. If the initial carry is zero, convert `LSTMParams(kernel, "
            "projection @ recurrent_kernel, bias)` and multiply the outputs by `projection`: the "
            "result is the same."
        )
    if isinstance(params, PeepholeLSTMParams | CoupledLSTMParams):
        raise TypeError(
            f"{label}`params` are {name}, but {peer} has no LSTM with peepholes or coupled gates; "
            "ONNX has them."
        )
    raise TypeError(
        f"{label}`params` must be {' or '.join(cell.__name__ for cell in cells)}, a "
        f"BidirectionalParams of two of them, or a tuple of either, got {describe(params)}. If "
        f"they come from a larger model, pass only the layers that {peer} has."
    )
