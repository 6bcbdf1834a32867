"""Layers: functions of a whole sequence, made of cells and of each other."""

from jaxrnn.layers._dense import DenseParams, dense
from jaxrnn.layers._dropout import DropoutCarry, dropout
from jaxrnn.layers._embed import EmbedParams, embed
from jaxrnn.layers._rnn import rnn
from jaxrnn.layers._stack import stack

__all__ = [
    "DenseParams",
    "DropoutCarry",
    "EmbedParams",
    "dense",
    "dropout",
    "embed",
    "rnn",
    "stack",
]
