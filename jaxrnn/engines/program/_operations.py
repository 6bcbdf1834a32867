"""What a step does to the numbers of one row."""

import dataclasses
from typing import Any, NamedTuple

from jaxrnn.engines.program._views import View

_NAMES = """
copy neg abs sign exp expm1 log log1p tanh logistic sqrt rsqrt square not
add sub mul div max min eq ne lt le and or select_n
multiply_add multiply_subtract subtract_product one_minus_times
mix add_products times_difference difference_times add_tanh add_logistic
tanh_slope logistic_slope tanh_slope_times logistic_slope_times logistic_slope_difference
accumulate accumulate_products reduce_sum reduce_max reduce_min reduce_products
reduce_mean
mean_and_scale normalize normalize_times normalize_multiply_add
normalize_slope normalize_slope_times normalize_slope_sum
product
"""
OPERATIONS = tuple(_NAMES.split())  # in the order of `Op` in program_types.h
# Those whose operands have one row in their last axis.
NORMALIZING = frozenset(n for n in OPERATIONS if n.startswith(("mean_and", "normalize")))


class Matrix(NamedTuple):
    """A parameter by which rows are multiplied, (heads, rows, columns)."""

    known: Any  # a `Ref` of the tape, or an array
    heads: int
    depth: int
    units: int
    is_transposed: bool


class Operation(NamedTuple):
    name: str
    output: View
    inputs: tuple[View, ...]
    matrix: Matrix | None = None


@dataclasses.dataclass
class Value:
    """Numbers of a row, or the same for all rows."""

    size: int
    known: Any = None  # a `Ref` or an array of the tape, for what is the same for all rows
    number: float | None = None  # likewise, for a constant


def live(operations: list[Operation], wanted: set[int]) -> list[Operation]:
    """The operations on which the values in `wanted` depend, in order."""
    wanted, kept = set(wanted), []
    for operation in reversed(operations):
        if operation.output.value in wanted:
            kept.append(operation)
            wanted.update(view.value for view in operation.inputs)
    return kept[::-1]


class Lowered(NamedTuple):
    values: list[Value]
    operations: list[Operation]
    inputs: tuple[View, ...]  # of the rows
    outputs: tuple[View, ...]
