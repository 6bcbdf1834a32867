"""The arrays of one Keras cell, as our parameters and back."""

from collections.abc import Mapping

import numpy as np

from jaxrnn.cells import ConvLSTMParams, GRUParams, ResetBeforeGRUParams
from jaxrnn.convert._arrays import (
    check_kernel,
    check_matrix,
    check_names,
    check_shapes,
    count_gates,
)
from jaxrnn.convert._gates import (
    ALL_GATES,
    CELLS,
    GATES,
    CellParams,
    TwoBiases,
    join_biases,
    reorder,
    split_biases,
)

_ORDER = {4: "ifgo", 3: "zrn", 1: "h"}


def read_cell(arrays: Mapping[str, np.ndarray], reset_after: bool | None) -> CellParams:
    """The parameters of a cell.

    Args:
      arrays: `kernel`, `recurrent_kernel` and, unless ``use_bias=False``, `bias`.
      reset_after: of a GRU; None means by the shape of its bias.
    """
    check_names("a Keras layer", arrays, ["kernel", "recurrent_kernel"], optional=["bias"])
    if arrays["recurrent_kernel"].ndim > 2:
        return _read_conv(arrays)
    for name in ("kernel", "recurrent_kernel"):
        check_matrix(name, arrays[name])
    hidden_size, columns = arrays["recurrent_kernel"].shape
    gates = count_gates("recurrent_kernel", columns, hidden_size, CELLS)
    is_cudnn = gates > 1 and np.shape(arrays.get("bias")) == (2 * columns,)
    check_shapes(arrays, {"kernel": (len(arrays["kernel"]), columns)})
    arrays = _from_cudnn(arrays, gates) if is_cudnn else arrays
    cell = _gru(arrays, reset_after) if gates == 3 else CELLS[gates]
    shape = (2, columns) if is_cudnn or cell is GRUParams else (columns,)
    check_shapes(arrays, {"bias": shape})
    names = "kernel", "recurrent_kernel", "bias"
    ordered = [reorder(arrays.get(name), _ORDER[gates], GATES[cell]) for name in names]
    if ordered[-1] is None and cell is GRUParams:
        return cell(*ordered, None)
    return join_biases(TwoBiases(*ordered[:2], *ordered[-1]), cell) if shape[1:] else cell(*ordered)


def _read_conv(arrays):
    """The parameters of a ConvLSTM, whose gates i f c o are in our order."""
    for name in ("kernel", "recurrent_kernel"):
        check_kernel(name, arrays[name])
    *window, features, columns = arrays["recurrent_kernel"].shape
    count_gates("recurrent_kernel", columns, features, {4})
    kernel = (*window, arrays["kernel"].shape[-2], columns)
    check_shapes(arrays, {"kernel": kernel, "bias": (columns,)})
    return ConvLSTMParams(arrays["kernel"], arrays["recurrent_kernel"], arrays.get("bias"))


def _from_cudnn(arrays, gates):
    """The arrays of a CuDNNLSTM or CuDNNGRU, as in Keras 2, in the layout of an LSTM or GRU.

    cuDNN reads the kernel of a gate, (I, H), as the rows of a matrix (H, I). Both biases are in one
    vector, by which these layers are known.
    """

    def transposed(kernel):
        blocks = np.split(kernel, gates, axis=1)
        return np.concatenate([block.reshape(block.shape[::-1]).T for block in blocks], axis=1)

    kernels = {name: transposed(arrays[name]) for name in ("kernel", "recurrent_kernel")}
    return kernels | {"bias": arrays["bias"].reshape(2, -1)}


def _gru(arrays, reset_after):
    """Which GRU it is, by `reset_after` or else by the shape of the bias."""
    if reset_after is None and "bias" not in arrays:
        raise ValueError(
            "The arrays of a GRU without a bias do not show whether it has `reset_after`. Pass the "
            "layer, or a bias of zeros: (2, 3H) for `reset_after=True`, (3H,) for False."
        )
    reset_after = np.ndim(arrays["bias"]) == 2 if reset_after is None else reset_after
    return GRUParams if reset_after else ResetBeforeGRUParams


def written_cell(params: CellParams) -> list[np.ndarray]:
    """The arrays of a cell, in the order of `set_weights`."""
    arrays = [array for array in params if array is not None]
    if isinstance(params, GRUParams) and params.bias is not None:
        kernel, recurrent_kernel, *biases = split_biases(params)
        arrays = [kernel, recurrent_kernel, np.stack(biases)]
    gates = ALL_GATES[type(params)]
    return [reorder(array, gates, _ORDER[len(gates)]) for array in arrays]
