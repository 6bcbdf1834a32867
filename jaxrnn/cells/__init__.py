"""Cells: one time step each, one family a file."""

from jaxrnn.cells._elman import ElmanCarry, ElmanParams, elman
from jaxrnn.cells._emit_carry import Emitted, emit_carry
from jaxrnn.cells._gru import GRUCarry, GRUParams, ResetBeforeGRUParams, gru
from jaxrnn.cells._lstm import LSTMCarry, LSTMParams, lstm

__all__ = [
    "ElmanCarry",
    "ElmanParams",
    "Emitted",
    "GRUCarry",
    "GRUParams",
    "LSTMCarry",
    "LSTMParams",
    "ResetBeforeGRUParams",
    "elman",
    "emit_carry",
    "gru",
    "lstm",
]
