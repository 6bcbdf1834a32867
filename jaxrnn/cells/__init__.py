"""Cells: functions of one time step. One file per cell, one folder per family."""

from jaxrnn._core.exports import functions as _functions
from jaxrnn.cells._gated import HiddenCarry, LSTMCarry
from jaxrnn.cells.conv._conv_gru import ConvGRUParams, ResetBeforeConvGRUParams, conv_gru
from jaxrnn.cells.conv._conv_lstm import ConvLSTMParams, conv_lstm
from jaxrnn.cells.gated._coupled_lstm import CoupledLSTMParams, coupled_lstm
from jaxrnn.cells.gated._elman import ElmanParams, elman
from jaxrnn.cells.gated._gru import GRUParams, ResetBeforeGRUParams, gru
from jaxrnn.cells.gated._layer_norm_gru import LayerNormGRUParams, layer_norm_gru
from jaxrnn.cells.gated._layer_norm_lstm import LayerNormLSTMParams, layer_norm_lstm
from jaxrnn.cells.gated._lstm import LSTMParams, lstm
from jaxrnn.cells.gated._peephole_lstm import PeepholeLSTMParams, peephole_lstm
from jaxrnn.cells.gated._projected_lstm import ProjectedLSTMParams, projected_lstm

__all__ = _functions(vars())
