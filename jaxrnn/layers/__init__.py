"""Layers: functions of a whole sequence, made of cells and of each other."""

from jaxrnn.layers._bidirectional import (
    BidirectionalCarry,
    BidirectionalFinal,
    BidirectionalParams,
    bidirectional,
)
from jaxrnn.layers._dense import DenseParams, dense
from jaxrnn.layers._dropout import DropoutCarry, dropout
from jaxrnn.layers._embed import EmbedParams, embed
from jaxrnn.layers._highway import HighwayParams, highway
from jaxrnn.layers._remat import remat
from jaxrnn.layers._residual import residual
from jaxrnn.layers._rnn import rnn
from jaxrnn.layers._stack import skip, stack
from jaxrnn.layers._truncate import truncate

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
    "dropout",
    "embed",
    "highway",
    "remat",
    "residual",
    "rnn",
    "skip",
    "stack",
    "truncate",
]
