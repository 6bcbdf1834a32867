"""Cells: one time step each, one family a file."""

from jaxrnn.cells._clip_cotangent import clip_cotangent
from jaxrnn.cells._elman import ElmanCarry, ElmanParams, elman
from jaxrnn.cells._emit_carry import Emitted, emit_carry
from jaxrnn.cells._gru import GRUCarry, GRUParams, ResetBeforeGRUParams, gru
from jaxrnn.cells._layer_norm_gru import LayerNormGRUCarry, LayerNormGRUParams, layer_norm_gru
from jaxrnn.cells._layer_norm_lstm import LayerNormLSTMCarry, LayerNormLSTMParams, layer_norm_lstm
from jaxrnn.cells._learned_carry import LearnedCarryParams, learned_carry
from jaxrnn.cells._lstm import LSTMCarry, LSTMParams, lstm
from jaxrnn.cells._projected_lstm import (
    ProjectedLSTMCarry,
    ProjectedLSTMParams,
    projected_lstm,
)
from jaxrnn.cells._recurrent_dropout import candidate_dropout, state_dropout
from jaxrnn.cells._zoneout import zoneout

__all__ = [
    "ElmanCarry",
    "ElmanParams",
    "Emitted",
    "GRUCarry",
    "GRUParams",
    "LSTMCarry",
    "LSTMParams",
    "LayerNormGRUCarry",
    "LayerNormGRUParams",
    "LayerNormLSTMCarry",
    "LayerNormLSTMParams",
    "LearnedCarryParams",
    "ProjectedLSTMCarry",
    "ProjectedLSTMParams",
    "ResetBeforeGRUParams",
    "candidate_dropout",
    "clip_cotangent",
    "elman",
    "emit_carry",
    "gru",
    "layer_norm_gru",
    "layer_norm_lstm",
    "learned_carry",
    "lstm",
    "projected_lstm",
    "state_dropout",
    "zoneout",
]
