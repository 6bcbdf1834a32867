"""The parameters of the cells of a network, layer by layer, checked against what a peer has."""

from collections.abc import Collection
from typing import Any

from jaxrnn._checks import describe
from jaxrnn._types import Params
from jaxrnn.cells import GRUParams, ProjectedLSTMParams, ResetBeforeGRUParams
from jaxrnn.convert._arrays import as_numpy, check_matrix, check_shapes
from jaxrnn.convert._gates import GATES, CellParams
from jaxrnn.layers import BidirectionalParams

Level = tuple[CellParams, ...]  # one cell, or the forward and the backward one


def levels(peer: str, cells: Collection[type], params: Params) -> list[Level]:
    """The parameters of the one or two cells of each layer, as NumPy arrays.

    Args:
      peer: the library that they are for, in messages.
      cells: the types of parameters that it can hold.
      params: of a cell, of `jaxrnn.bidirectional`, or a tuple of those, as `jaxrnn.stack` has them.

    Raises:
      TypeError: `params` are of something else, or of a cell that the peer does not have.
      ValueError: the shapes of the arrays do not fit each other.
    """
    entries = params if type(params) is tuple and params else (params,)
    return [tuple(_checked(peer, cells, cell) for cell in _directions(e)) for e in entries]


def one_way_levels(peer: str, cells: Collection[type], params: Params) -> list[CellParams]:
    """`levels`, for a peer that has no two-way layer: one cell each."""
    found = levels(peer, cells, params)
    if any(len(level) > 1 for level in found):
        raise TypeError(
            f"`params` hold two directions, and {peer} has no two-way layer. Convert "
            "`params.forward` and `params.backward` one by one."
        )
    return [cell for (cell,) in found]


def uniform_levels(peer: str, cells: Collection[type], params: Params) -> list[Level]:
    """`levels`, for a peer in which all have one kind of cell, one size and the same directions."""
    found = levels(peer, cells, params)
    kinds = {_kind(level, cell) for level in found for cell in level}
    if len(kinds) > 1:
        raise ValueError(
            f"In {peer} all layers have one kind of cell, one number of directions and one hidden "
            f"size, and these have {sorted(kinds)}. Convert the layers one by one."
        )
    directions, width = len(found[0]), len(found[0][0].recurrent_kernel)
    for i, level in enumerate(found[1:], 1):
        if len(level[0].kernel) != directions * width:
            raise ValueError(
                f"Layer {i} takes {len(level[0].kernel)} features, and in {peer} it takes the "
                f"{directions * width} of the layer before, both directions beside each "
                "other. Convert the layers one by one."
            )
    return found


def _kind(level, cell):
    projected = isinstance(cell, ProjectedLSTMParams)
    sizes = cell.projection.shape if projected else cell.recurrent_kernel.shape[:1]
    return type(cell).__name__, len(level), *sizes


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
    """What the arrays must be for what the kernels are."""
    width = len(arrays["recurrent_kernel"])  # of the output
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
                f"`params` are {ours.__name__}, and the GRU of {peer} is that of "
                f"{theirs.__name__}. In GRUParams the reset gate multiplies after the recurrent "
                "product, in ResetBeforeGRUParams before it: they are different functions, and no "
                "weights of one equal the other. Keras and ONNX have both."
            )
    if isinstance(params, ProjectedLSTMParams):
        raise TypeError(
            f"`params` are ProjectedLSTMParams, and {peer} has no LSTM with a projection; torch "
            "has, with `proj_size`. From zero carries an LSTM with the recurrent kernel "
            "`projection @ recurrent_kernel`, and a product of its outputs with `projection` after "
            "it, does the same: convert `LSTMParams(kernel, projection @ recurrent_kernel, bias)`."
        )
    raise TypeError(
        f"`params` must be {' or '.join(cell.__name__ for cell in cells)}, a BidirectionalParams "
        f"of two of them, or a tuple of either, got {describe(params)}. {peer} can hold nothing "
        "else: of a larger model, give only the entries of its recurrent layers."
    )
