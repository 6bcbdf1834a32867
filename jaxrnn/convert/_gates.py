"""Gates in the order of another library, and two biases as one."""

from typing import NamedTuple

import numpy as np

from jaxrnn.cells import (
    ElmanParams,
    GRUParams,
    LSTMParams,
    ProjectedLSTMParams,
    ResetBeforeGRUParams,
)

CellParams = LSTMParams | GRUParams | ResetBeforeGRUParams | ElmanParams | ProjectedLSTMParams
# Those of the cells that many libraries have. Only torch has a projection.
GATES = {LSTMParams: "ifgo", GRUParams: "rzn", ResetBeforeGRUParams: "rzn", ElmanParams: "h"}
CELLS = {len(GATES[cell]): cell for cell in (LSTMParams, GRUParams, ElmanParams)}


class TwoBiases(NamedTuple):
    """The weights of a cell as torch, cuDNN, ONNX and others divide them; gates in our order."""

    kernel: np.ndarray  # (I, G*H)
    recurrent_kernel: np.ndarray  # (H, G*H)
    bias: np.ndarray  # (G*H,), added to the product with the input
    recurrent_bias: np.ndarray  # (G*H,), added to the product with the carry


def reorder(array: np.ndarray, source: str, target: str) -> np.ndarray:
    """The gates of the last axis, moved from the order `source` to the order `target`.

    Args:
      array: ``(..., G*H)``.
      source: a letter for each gate, as in ``"zrn"``.
      target: the same letters in another order.
    """
    gates = dict(zip(source, np.split(array, len(source), axis=-1), strict=True))
    return np.concatenate([gates[gate] for gate in target], axis=-1)


def join_biases(weights: TwoBiases, cell: type[CellParams]) -> CellParams:
    """The parameters of `cell`, whose two biases are summed wherever both are summed in its step.

    Behind a reset gate that multiplies after the product, the recurrent bias of n stays apart.
    """
    kernel, recurrent_kernel, bias, recurrent_bias = weights
    if cell is not GRUParams:
        return cell(kernel, recurrent_kernel, bias + recurrent_bias)
    r, z, n = np.split(recurrent_bias, 3)
    summed = bias + np.concatenate([r, z, no_bias(n)])
    return GRUParams(kernel, recurrent_kernel, summed, n)


def split_biases(params: CellParams) -> TwoBiases:
    """`params` with two biases: (b, 0), and (b, (0, 0, d)) where n has a recurrent bias d."""
    recurrent_bias = no_bias(params.bias)
    if isinstance(params, GRUParams):
        recurrent_bias[-params.recurrent_bias.size :] = params.recurrent_bias
    return TwoBiases(params.kernel, params.recurrent_kernel, params.bias, recurrent_bias)


def no_bias(like: np.ndarray) -> np.ndarray:
    """Zeros that change nothing: b + -0.0 is b to the last bit, where -0.0 + 0.0 is not."""
    return np.full_like(like, -0.0)
