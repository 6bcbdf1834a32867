"""Layers: functions of a whole sequence, made of cells and of each other."""

from jaxrnn.layers._bidirectional import (
    BidirectionalCarry,
    BidirectionalFinal,
    BidirectionalParams,
    bidirectional,
)
from jaxrnn.layers._dense import DenseParams, dense
from jaxrnn.layers._drop_connect import drop_connect
from jaxrnn.layers._dropout import DropoutCarry, dropout, variational_dropout
from jaxrnn.layers._embed import EmbedParams, embed
from jaxrnn.layers._highway import HighwayParams, highway
from jaxrnn.layers._noisy_carry import noisy_carry
from jaxrnn.layers._remat import remat
from jaxrnn.layers._residual import residual
from jaxrnn.layers._rnn import rnn
from jaxrnn.layers._stack import skip, stack
from jaxrnn.layers._truncate import truncate
from jaxrnn.layers._weight_norm import weight_norm

__all__ = [
    "BidirectionalCarry",
    "BidirectionalFinal",
    "BidirectionalParams",
    "DenseParams",
    "DropoutCarry",
    "EmbedParams",
    "HighwayParams",
    "bidirectional",
    "dense",
    "drop_connect",
    "dropout",
    "embed",
    "highway",
    "noisy_carry",
    "remat",
    "residual",
    "rnn",
    "skip",
    "stack",
    "truncate",
    "variational_dropout",
    "weight_norm",
]
