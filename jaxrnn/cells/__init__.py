"""Cells: one time step each, one family a file."""

from jaxrnn.cells._elman import ElmanCarry, ElmanParams, elman
from jaxrnn.cells._gru import GRUCarry, GRUParams, ResetBeforeGRUParams, gru
from jaxrnn.cells._lstm import LSTMCarry, LSTMParams, lstm

__all__ = [
    "ElmanCarry",
    "ElmanParams",
    "GRUCarry",
    "GRUParams",
    "LSTMCarry",
    "LSTMParams",
    "ResetBeforeGRUParams",
    "elman",
    "gru",
    "lstm",
]
