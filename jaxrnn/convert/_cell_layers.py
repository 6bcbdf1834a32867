"""The cells of a network, layer by layer, checked against what another library supports."""

from collections.abc import Collection
from typing import Any

from jaxrnn._core.checks import describe
from jaxrnn._core.types import Params
from jaxrnn.cells import GRUParams, ProjectedLSTMParams, ResetBeforeGRUParams
from jaxrnn.convert._arrays import as_numpy, check_matrix, check_shapes
from jaxrnn.convert._gates import GATES, CellParams
from jaxrnn.layers import BidirectionalParams

CellLayer = tuple[CellParams, ...]  # one cell, or the forward and the backward cell


def cell_layers(peer: str, cells: Collection[type], params: Params) -> list[CellLayer]:
    """The parameters of the one or two cells of each layer, as NumPy arrays.

    Args:
      peer: the name of the other library, for error messages.
      cells: the parameter types that it supports.
      params: the parameters of a cell or of `jaxrnn.bidirectional`, or a tuple of them, as in
        `jaxrnn.stack`.

    Raises:
      TypeError: `params` have another type, or the other library has no such cell.
      ValueError: the shapes of the arrays are inconsistent.
    """
    entries = params if type(params) is tuple and params else (params,)
    return [tuple(_checked(peer, cells, cell) for cell in _directions(e)) for e in entries]


def one_way_cell_layers(peer: str, cells: Collection[type], params: Params) -> list[CellParams]:
    """`cell_layers` for a library without bidirectional layers: one cell for each layer."""
    found = cell_layers(peer, cells, params)
    if any(len(layer) > 1 for layer in found):
        raise TypeError(
            f"`params` are bidirectional, but {peer} has no bidirectional layer. Convert "
            "`params.forward` and `params.backward` separately."
        )
    return [cell for (cell,) in found]


def uniform_cell_layers(peer: str, cells: Collection[type], params: Params) -> list[CellLayer]:
    """`cell_layers` for a library whose layers share one kind of cell, size and direction count."""
    found = cell_layers(peer, cells, params)
    kinds = {_kind(layer, cell) for layer in found for cell in layer}
    if len(kinds) > 1:
        raise ValueError(
            f"All layers of {peer} must have one kind of cell, one number of directions and one "
            f"hidden size, got {sorted(kinds)}. Convert the layers one by one."
        )
    directions, width = len(found[0]), len(found[0][0].recurrent_kernel)
    for i, layer in enumerate(found[1:], 1):
        if len(layer[0].kernel) != directions * width:
            raise ValueError(
                f"Layer {i} expects {len(layer[0].kernel)} features, but in {peer} it receives the "
                f"{directions * width} concatenated outputs of the layer before it. Convert the "
                "layers one by one."
            )
    return found


def _kind(layer, cell):
    projected = isinstance(cell, ProjectedLSTMParams)
    sizes = cell.projection.shape if projected else cell.recurrent_kernel.shape[:1]
    return type(cell).__name__, len(layer), *sizes


def _directions(entry):
    return tuple(entry) if isinstance(entry, BidirectionalParams) else (entry,)


def _checked(peer: str, cells: Collection[type], params: Any) -> CellParams:
    """The parameters of one cell, as NumPy arrays."""
    _check_type(peer, cells, params)
    arrays = {name: as_numpy(name, array) for name, array in params._asdict().items()}
    for name in ("kernel", "recurrent_kernel", "projection"):
        if name in arrays:
            check_matrix(name, arrays[name])
    check_shapes(arrays, _shapes(type(params), arrays))
    return type(params)(**arrays)


def _shapes(cell, arrays):
    """The shape of each array, given the shapes of the kernels."""
    width = len(arrays["recurrent_kernel"])  # of the outputs
    hidden_size = len(arrays.get("projection", arrays["recurrent_kernel"]))
    columns = len(GATES.get(cell, "ifgo")) * hidden_size
    return {
        "kernel": (len(arrays["kernel"]), columns),
        "recurrent_kernel": (width, columns),
        "bias": (columns,),
        "recurrent_bias": (hidden_size,),
        "projection": (hidden_size, width),
    }


def _check_type(peer, cells, params):
    if type(params) in cells:
        return
    for ours, theirs in ((GRUParams, ResetBeforeGRUParams), (ResetBeforeGRUParams, GRUParams)):
        if isinstance(params, ours) and theirs in cells:
            raise TypeError(
                f"`params` are {ours.__name__}, but {peer} needs {theirs.__name__}. With GRUParams "
                "the reset gate multiplies after the recurrent product, with ResetBeforeGRUParams "
                "before it. They are different functions, so the weights cannot be converted. "
                "Keras and ONNX support both."
            )
    if isinstance(params, ProjectedLSTMParams):
        raise TypeError(
            f"`params` are ProjectedLSTMParams, but {peer} has no LSTM with a projection; torch "
            "has one, with `proj_size`. If the initial carry is zero, convert `LSTMParams(kernel, "
            "projection @ recurrent_kernel, bias)` and multiply the outputs by `projection`: the "
            "result is the same."
        )
    raise TypeError(
        f"`params` must be {' or '.join(cell.__name__ for cell in cells)}, a BidirectionalParams "
        f"of two of them, or a tuple of either, got {describe(params)}. If they come from a "
        f"larger model, pass only the recurrent layers: {peer} has no others."
    )
