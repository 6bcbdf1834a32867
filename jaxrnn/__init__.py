"""Recurrent networks in JAX: cells are pure functions of (params, carry, x).

Write a cell's arithmetic once; it trains, streams and batches at the speed of a hand-written loop.
Axis letters everywhere: T time, B batch, I input, H hidden, G gates; sequences are (T, ..., I).
"""

from jaxrnn import _initializers as initializers
from jaxrnn import _losses as losses
from jaxrnn._masking import length_mask
from jaxrnn._packing import (
    Packed,
    Padded,
    bucket_length,
    pack,
    pad_to_bucket,
    segment_resets,
    unpack,
)
from jaxrnn._pooling import (
    AttentionPoolParams,
    Pool,
    attention_pool,
    pool_last,
    pool_max,
    pool_mean,
    pool_sum,
)
from jaxrnn._types import Cell, Layer, from_step
from jaxrnn._unroll import step, unroll
from jaxrnn.cells import (
    ElmanCarry,
    ElmanParams,
    Emitted,
    GRUCarry,
    GRUParams,
    LSTMCarry,
    LSTMParams,
    ResetBeforeGRUParams,
    elman,
    emit_carry,
    gru,
    lstm,
)
from jaxrnn.layers import (
    BidirectionalCarry,
    BidirectionalFinal,
    BidirectionalParams,
    DenseParams,
    DropoutCarry,
    EmbedParams,
    HighwayParams,
    bidirectional,
    dense,
    dropout,
    embed,
    highway,
    remat,
    residual,
    rnn,
    skip,
    stack,
    truncate,
)

__version__ = "0.1.0"

__all__ = [
    "AttentionPoolParams",
    "BidirectionalCarry",
    "BidirectionalFinal",
    "BidirectionalParams",
    "Cell",
    "DenseParams",
    "DropoutCarry",
    "ElmanCarry",
    "ElmanParams",
    "EmbedParams",
    "Emitted",
    "GRUCarry",
    "GRUParams",
    "HighwayParams",
    "LSTMCarry",
    "LSTMParams",
    "Layer",
    "Packed",
    "Padded",
    "Pool",
    "ResetBeforeGRUParams",
    "attention_pool",
    "bidirectional",
    "bucket_length",
    "dense",
    "dropout",
    "elman",
    "embed",
    "emit_carry",
    "from_step",
    "gru",
    "highway",
    "initializers",
    "length_mask",
    "losses",
    "lstm",
    "pack",
    "pad_to_bucket",
    "pool_last",
    "pool_max",
    "pool_mean",
    "pool_sum",
    "remat",
    "residual",
    "rnn",
    "segment_resets",
    "skip",
    "stack",
    "step",
    "truncate",
    "unpack",
    "unroll",
]
