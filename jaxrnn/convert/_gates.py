"""Gate reordering, and conversion between no bias, one bias and two."""

from typing import NamedTuple

import numpy as np

from jaxrnn.cells import (
    ConvLSTMParams,
    CoupledLSTMParams,
    ElmanParams,
    GRUParams,
    LSTMParams,
    PeepholeLSTMParams,
    ProjectedLSTMParams,
    ResetBeforeGRUParams,
)

CellParams = (
    LSTMParams
    | GRUParams
    | ResetBeforeGRUParams
    | ElmanParams
    | ProjectedLSTMParams
    | PeepholeLSTMParams
    | CoupledLSTMParams
    | ConvLSTMParams
)
# The cells that most libraries have.
GATES = {LSTMParams: "ifgo", GRUParams: "rzn", ResetBeforeGRUParams: "rzn", ElmanParams: "h"}
CELLS = {len(GATES[cell]): cell for cell in (LSTMParams, GRUParams, ElmanParams)}
# And those that torch, ONNX, Keras or Flax has.
ALL_GATES = GATES | {
    ProjectedLSTMParams: "ifgo",
    PeepholeLSTMParams: "ifgo",
    CoupledLSTMParams: "igo",
    ConvLSTMParams: "ifgo",
}


class TwoBiases(NamedTuple):
    """The weights of a cell with two biases, as in torch, cuDNN and ONNX, with our gate order."""

    kernel: np.ndarray  # (I, G*H)
    recurrent_kernel: np.ndarray  # (H, G*H)
    bias: np.ndarray | None  # (G*H,), added to the product with the input
    recurrent_bias: np.ndarray | None  # (G*H,), added to the product with the carry


def reorder(array: np.ndarray | None, source: str, target: str) -> np.ndarray | None:
    """Reorders the gates in the last axis from the order `source` to the order `target`.

    Args:
      array: (..., G*H), or None.
      source: one letter for each gate, as in ``"zrn"``.
      target: the same letters in another order, or some of them.
    """
    if array is None:
        return None
    gates = dict(zip(source, np.split(array, len(source), axis=-1), strict=True))
    return np.concatenate([gates[gate] for gate in target], axis=-1)


def join_biases(weights: TwoBiases, cell: type[CellParams], **others: np.ndarray) -> CellParams:
    """The parameters of `cell`, with the sum of the two biases as its bias, or with none of either.

    In a GRU with `reset_after` the reset gate multiplies the recurrent bias of n, which therefore
    stays separate.

    Args:
      weights: kernels, and both biases or neither.
      cell: the type of the parameters.
      **others: further fields of the parameters.
    """
    kernel, recurrent_kernel, bias, recurrent_bias = weights
    if bias is None:
        others |= {"recurrent_bias": None} if cell is GRUParams else {}
        return cell(kernel, recurrent_kernel, None, **others)
    if cell is not GRUParams:
        return cell(kernel, recurrent_kernel, bias + recurrent_bias, **others)
    r, z, n = np.split(recurrent_bias, 3)
    summed = bias + np.concatenate([r, z, no_bias(n)])
    return GRUParams(kernel, recurrent_kernel, summed, n)


def split_biases(params: CellParams) -> TwoBiases:
    """`params` with two biases: (b, 0), or (b, (0, 0, d)) if n has a recurrent bias d; or none."""
    if params.bias is None:
        return TwoBiases(params.kernel, params.recurrent_kernel, None, None)
    recurrent_bias = no_bias(params.bias)
    if isinstance(params, GRUParams):
        recurrent_bias[-params.recurrent_bias.size :] = params.recurrent_bias
    return TwoBiases(params.kernel, params.recurrent_kernel, params.bias, recurrent_bias)


def no_bias(like: np.ndarray) -> np.ndarray:
    """Negative zeros: b + -0.0 is b bit for bit, while -0.0 + 0.0 is 0.0."""
    return np.full_like(like, -0.0)
