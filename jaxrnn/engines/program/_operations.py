"""What a step does to the numbers of one row."""

import dataclasses
from typing import Any, NamedTuple

from jaxrnn.engines.program._views import View


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


class Lowered(NamedTuple):
    values: list[Value]
    operations: list[Operation]
    inputs: tuple[View, ...]  # of the rows
    outputs: tuple[View, ...]
