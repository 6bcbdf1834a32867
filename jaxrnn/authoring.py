"""Helpers for writing cells: the ones that the built-in cells use.

A cell needs none of them: `jaxrnn.Cell` takes any functions. They draw the parameters of gates, sum
products in at least float32, and check arguments with messages that name them.
"""

from jaxrnn._core.checks import (
    check_bool,
    check_features,
    check_key,
    check_params,
    check_positive,
    check_rate,
    check_size,
)
from jaxrnn._core.context import context_field
from jaxrnn._core.drawing import draw
from jaxrnn._core.numerics import add_bias, affine, matmul, over_rows, sum_dtype, tanh, wide_update
from jaxrnn._core.timed import features, gaps
from jaxrnn._core.types import hidden, nothing, unchanged
from jaxrnn.cells._affine import Affine, affine_update
from jaxrnn.cells._gated import draw_each, draw_gates, of_gates, project, recur, zero_carry
from jaxrnn.cells._matrix_state import (
    Access,
    MatrixCarry,
    Readout,
    decaying_update,
    delta_update,
    recall,
)
from jaxrnn.cells._normalization import normalize
from jaxrnn.cells.conv._convolution import convolve

__all__ = [
    "Access",
    "Affine",
    "MatrixCarry",
    "Readout",
    "add_bias",
    "affine",
    "affine_update",
    "check_bool",
    "check_features",
    "check_key",
    "check_params",
    "check_positive",
    "check_rate",
    "check_size",
    "context_field",
    "convolve",
    "decaying_update",
    "delta_update",
    "draw",
    "draw_each",
    "draw_gates",
    "features",
    "gaps",
    "hidden",
    "matmul",
    "normalize",
    "nothing",
    "of_gates",
    "over_rows",
    "project",
    "recall",
    "recur",
    "sum_dtype",
    "tanh",
    "unchanged",
    "wide_update",
    "zero_carry",
]
