"""Layers: functions of a whole sequence, built from cells and from other layers."""

from jaxrnn._core.exports import functions as _functions
from jaxrnn.layers._attention_pool import AttentionPoolParams, attention_pool
from jaxrnn.layers._bidirectional import (
    BidirectionalCarry,
    BidirectionalFinal,
    BidirectionalParams,
    bidirectional,
)
from jaxrnn.layers._cast import cast
from jaxrnn.layers._causal_conv import CausalConvCarry, CausalConvParams, causal_conv
from jaxrnn.layers._deep_block import deep_block
from jaxrnn.layers._dense import DenseParams, dense
from jaxrnn.layers._dropout import DropoutCarry, dropout, variational_dropout
from jaxrnn.layers._embed import EmbedParams, embed
from jaxrnn.layers._glu import GLUParams, glu
from jaxrnn.layers._highway import HighwayParams, highway
from jaxrnn.layers._noisy_carry import noisy_carry
from jaxrnn.layers._norm import LayerNormParams, RMSNormParams, layer_norm, rms_norm
from jaxrnn.layers._pool import Pool
from jaxrnn.layers._pooling import pool_last, pool_max, pool_mean, pool_sum
from jaxrnn.layers._remat import remat
from jaxrnn.layers._residual import residual
from jaxrnn.layers._rnn import rnn
from jaxrnn.layers._stack import skip_stack, stack
from jaxrnn.layers._summary import Summary, summary
from jaxrnn.layers._truncate import truncate

__all__ = _functions(vars())
