"""Recurrent networks in JAX: cells are pure functions of (params, carry, x).

Write a cell's arithmetic once; it trains, streams and batches at the speed of a hand-written loop.
Axis letters everywhere: T time, B batch, I input, H hidden, G gates; sequences are (T, ..., I).
"""

from jaxrnn import _initializers as initializers
from jaxrnn._masking import length_mask
from jaxrnn._types import Cell, Layer, from_step
from jaxrnn._unroll import step, unroll
from jaxrnn.cells import (
    ElmanCarry,
    ElmanParams,
    GRUCarry,
    GRUParams,
    LSTMCarry,
    LSTMParams,
    ResetBeforeGRUParams,
    elman,
    gru,
    lstm,
)
from jaxrnn.layers import (
    DenseParams,
    DropoutCarry,
    EmbedParams,
    dense,
    dropout,
    embed,
    rnn,
    stack,
)

__version__ = "0.1.0"

__all__ = [
    "Cell",
    "DenseParams",
    "DropoutCarry",
    "ElmanCarry",
    "ElmanParams",
    "EmbedParams",
    "GRUCarry",
    "GRUParams",
    "LSTMCarry",
    "LSTMParams",
    "Layer",
    "ResetBeforeGRUParams",
    "dense",
    "dropout",
    "elman",
    "embed",
    "from_step",
    "gru",
    "initializers",
    "length_mask",
    "lstm",
    "rnn",
    "stack",
    "step",
    "unroll",
]
