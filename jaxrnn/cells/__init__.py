"""Cells: functions of one time step. One file per cell, one folder per family."""

from jaxrnn._core.exports import functions as _functions
from jaxrnn.cells._gated import HiddenCarry, LSTMCarry
from jaxrnn.cells._matrix_state import MatrixCarry, StabilizedCarry
from jaxrnn.cells.continuous._antisymmetric import (
    AntisymmetricParams,
    GatedAntisymmetricParams,
    antisymmetric,
    gated_antisymmetric,
)
from jaxrnn.cells.continuous._cfc import CfCParams, cfc
from jaxrnn.cells.continuous._clockwork import ClockworkCarry, ClockworkParams, clockwork
from jaxrnn.cells.continuous._cornn import CoRNNParams, cornn
from jaxrnn.cells.continuous._ctrnn import CTRNNParams, ctrnn
from jaxrnn.cells.continuous._esn import ESNParams, esn
from jaxrnn.cells.continuous._gru_d import GRUDCarry, GRUDParams, gru_d
from jaxrnn.cells.continuous._lem import LEMCarry, LEMParams, lem
from jaxrnn.cells.continuous._ltc import LTCParams, Synapses, ltc
from jaxrnn.cells.continuous._oscillator import OscillatorCarry
from jaxrnn.cells.continuous._scornn import ScoRNNParams, scornn
from jaxrnn.cells.continuous._time_aware_lstm import TimeAwareLSTMParams, time_aware_lstm
from jaxrnn.cells.continuous._unicornn import UnICORNNParams, unicornn
from jaxrnn.cells.conv._conv_gru import ConvGRUParams, ResetBeforeConvGRUParams, conv_gru
from jaxrnn.cells.conv._conv_lstm import ConvLSTMParams, conv_lstm
from jaxrnn.cells.gated._atr import ATRParams, atr
from jaxrnn.cells.gated._brc import BRCParams, brc
from jaxrnn.cells.gated._coupled_lstm import CoupledLSTMParams, coupled_lstm
from jaxrnn.cells.gated._elman import ElmanParams, elman, irnn
from jaxrnn.cells.gated._fast_grnn import FastGRNNParams, fast_grnn
from jaxrnn.cells.gated._fast_rnn import FastRNNParams, fast_rnn
from jaxrnn.cells.gated._gru import GRUParams, ResetBeforeGRUParams, gru
from jaxrnn.cells.gated._indrnn import IndRNNParams, indrnn
from jaxrnn.cells.gated._janet import JANETParams, janet
from jaxrnn.cells.gated._layer_norm_gru import LayerNormGRUParams, layer_norm_gru
from jaxrnn.cells.gated._layer_norm_lstm import LayerNormLSTMParams, layer_norm_lstm
from jaxrnn.cells.gated._li_gru import LiGRUParams, li_gru
from jaxrnn.cells.gated._lstm import LSTMParams, lstm
from jaxrnn.cells.gated._mgu import MGUParams, mgu
from jaxrnn.cells.gated._minimal_rnn import MinimalRNNParams, minimal_rnn
from jaxrnn.cells.gated._multiplicative_lstm import MultiplicativeLSTMParams, multiplicative_lstm
from jaxrnn.cells.gated._nbrc import NBRCParams, nbrc
from jaxrnn.cells.gated._peephole_lstm import PeepholeLSTMParams, peephole_lstm
from jaxrnn.cells.gated._projected_lstm import ProjectedLSTMParams, projected_lstm
from jaxrnn.cells.gated._ran import RANParams, ran
from jaxrnn.cells.gated._rhn import RHNParams, rhn
from jaxrnn.cells.gated._scrn import SCRNCarry, SCRNParams, scrn
from jaxrnn.cells.gated._slstm import SLSTMCarry, SLSTMParams, slstm
from jaxrnn.cells.gated._star import STARParams, star
from jaxrnn.cells.gated._ugrnn import UGRNNParams, ugrnn
from jaxrnn.cells.gated._wmc_lstm import WMCLSTMParams, wmc_lstm
from jaxrnn.cells.linear._delta_net import DeltaNetParams, delta_net
from jaxrnn.cells.linear._gated_linear_attention import (
    GatedLinearAttentionParams,
    gated_linear_attention,
)
from jaxrnn.cells.linear._hgrn import HGRNParams, hgrn
from jaxrnn.cells.linear._linear import MemoryCarry
from jaxrnn.cells.linear._lru import LRUCarry, LRUParams, lru
from jaxrnn.cells.linear._mamba import MambaCarry, MambaParams, mamba
from jaxrnn.cells.linear._min_gru import MinGRUParams, min_gru
from jaxrnn.cells.linear._min_lstm import MinLSTMParams, min_lstm
from jaxrnn.cells.linear._mlstm import MLSTMParams, mlstm
from jaxrnn.cells.linear._qrnn import QRNNParams, qrnn
from jaxrnn.cells.linear._retention import RetentionParams, retention
from jaxrnn.cells.linear._rg_lru import RGLRUParams, rg_lru
from jaxrnn.cells.linear._s4d import S4DParams, s4d
from jaxrnn.cells.linear._s5 import S5Params, s5
from jaxrnn.cells.linear._sru import SRUParams, sru
from jaxrnn.cells.linear._state_space import StateCarry

__all__ = _functions(vars())
