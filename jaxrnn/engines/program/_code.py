"""Writes operations as the numbers that a kernel reads."""

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from jaxrnn.engines.program._arranging import Arranged
from jaxrnn.engines.program._joining import with_joins
from jaxrnn.engines.program._operations import NORMALIZING, OPERATIONS, Operation
from jaxrnn.engines.program._placement import Columns, Place
from jaxrnn.engines.program._reusing import reused
from jaxrnn.engines.program._storage import stored
from jaxrnn.engines.program._views import NotCovered, View, collapsed

_REDUCTIONS = frozenset(name for name in OPERATIONS if name.startswith("reduce"))
_SPACES = ("local", "wide", "state", "next", "sum", "constant", "sequence", "lagged")
# What a sequence is: given; from -2 down a projection, which a kernel may make itself; a result; a
# result that is zero where it is masked.
_IS_GIVEN, _IS_PROJECTED, _IS_RESULT, _HAS_ZEROS = -1, -2, 1, 2
_LARGEST = 2**24  # numbers of a row
_MOST = 512  # buffers, and instructions that one operation is written out as


class Code(NamedTuple):
    """A program, and the arrays that it is called with.

    Attributes:
      body: the numbers after the flags.
      numbers: constants.
      states: the widths of the state.
      sums: of the sums over the steps, one for each row.
      known: arrays that are the same for all rows, with the shape that each must have.
      operands: the places of the arrays after the state: `known` by number, then sequences.
      results: the places and widths of the sequences that are written.
      aliases: places that another one holds too.
      within: places that another one holds among others.
      unread: results of which nobody reads the rows that are masked.
      reused: for results, the operands in whose memory they can be.
      operations: what the body says.
      names: of the values in them.
      scratch: the numbers of a row that lie in scratch between two products, and over all.
    """

    body: tuple[int, ...]
    numbers: tuple[float, ...]
    states: tuple[int, ...]
    sums: tuple[int, ...]
    known: tuple[tuple[Any, tuple[int, ...]], ...]
    operands: tuple[Place, ...]
    results: tuple[tuple[Place, int], ...]
    aliases: dict[Place, Place]
    within: dict[Place, Columns]
    unread: frozenset[Place]
    reused: dict[Place, Place]
    operations: tuple[Operation, ...]
    names: dict[int, str]
    scratch: tuple[int, int]


def encode(
    step: Any,
    made: Arranged,
    *,
    unread: Collection[Place] = (),
    free: Collection[Place] = (),
    projected: Collection[Place] = (),
    joins: Mapping[Place, Columns] = MappingProxyType({}),
) -> Code:
    """The code of operations.

    Args:
      step: a `StepProgram`, whose values they read and write.
      made: the operations.
      unread: sequences of which nobody reads the rows that are masked.
      free: sequences that nobody reads after the call.
      projected: inputs that the kernel may compute itself.
      joins: places that are columns of another one, and which.

    Raises:
      NotCovered: there are too many values or operations.
    """
    return _Writer(step, with_joins(made, joins), unread, free, projected).run()


class _Writer:
    def __init__(self, step, made, unread, free, projected):
        self.step, self.made, self.free, self.projected = step, made, free, projected
        self.values, self.operations, self.places, aliases, _ = made
        self.written = {o.output.value for o in self.operations} & set(self.places)
        others = [place for pair in aliases.items() for place in pair if place not in unread]
        self.unread = set(unread) - {aliases.get(place, place) for place in others}
        self.buffers, self.of_value = [], {}
        self.numbers, self.known, self.operands, self.results = [], [], [], []
        self.matrices, self.matrix_numbers = [], {}

    def run(self):
        read = {view.value for o in self.operations for view in o.inputs}
        read |= {o.output.value for o in self.operations}
        matrices = self.write_matrices()
        scratch = stored(self.operations, self.values, set(self.places))
        for value in sorted(read):
            if value not in scratch.buffer_of:
                self.of_value[value] = self.add_buffer(value)
        first = len(self.buffers)
        for width, is_local in scratch.buffers:
            self.buffers.append((_SPACES.index("local" if is_local else "wide"), width, -1))
        for value, number in scratch.buffer_of.items():
            self.of_value[value] = first + number
        instructions = [i for o in self.operations for i in self.instructions(o)]
        count = len(self.step.pullback.carry)
        if len(self.buffers) > _MOST or len(instructions) > 4 * _MOST:
            raise NotCovered(
                f"its step has {len(self.buffers)} arrays and {len(instructions)} operations, more "
                f"than the {_MOST} and {4 * _MOST} of a kernel"
            )
        states = [view.size for view in self.step.joint.inputs[:count]]
        sums = self.sum_widths()
        body = [len(states), *states, len(sums), *sums, len(self.matrices), *matrices]
        body += [len(self.buffers), *(x for buffer in self.buffers for x in buffer)]
        body += [len(instructions), *(x for i in instructions for x in i)]
        return Code(
            tuple(body),
            tuple(self.numbers),
            tuple(states),
            tuple(sums),
            tuple(self.known),
            tuple(self.operands),
            tuple(self.results),
            self.made.aliases,
            self.made.within,
            frozenset(place for place, _ in self.results if place in self.unread),
            self.reused(),
            tuple(self.operations),
            self.names(scratch),
            tuple(sum(n for n, flag in scratch.buffers if flag == kind) for kind in (True, False)),
        )

    def reused(self):
        free = [place for place in self.operands if place in self.free]
        results = [place for place, _ in self.results]
        return reused(self.operations, self.places, self.made.sizes(), results, free)

    def names(self, scratch):
        names = {}
        for value, number in self.of_value.items():
            place, number_of_value = self.places.get(value), self.values[value].number
            if place:
                names[value] = f"{place.space}{place.number}"
            elif number_of_value is not None:
                names[value] = f"{number_of_value:g}"
            else:
                is_scratch = value in scratch.buffer_of
                names[value] = f"r{scratch.buffer_of[value]}" if is_scratch else f"known{number}"
        return names

    def sum_widths(self):
        found = {p.number: v for v, p in self.places.items() if p.space == "sum"}
        return [self.values[found[i]].size for i in range(len(found))]

    def write_matrices(self):
        out = []
        for operation in self.operations:
            matrix = operation.matrix
            if matrix is None or matrix in self.matrix_numbers:
                continue
            self.matrix_numbers[matrix] = len(self.matrices)
            self.matrices.append(matrix)
            sides = (matrix.units, matrix.depth) if matrix.is_transposed else matrix[2:4]
            self.known.append((matrix.known, (matrix.heads, *sides)))
            self.operands.append(Place("known", len(self.known) - 1))
            out += [int(matrix.is_transposed), matrix.heads, matrix.depth, matrix.units]
        return out

    def add_buffer(self, number):
        value = self.values[number]
        if number in self.places:
            buffer = self.placed(self.places[number], value.size, number in self.written)
        elif value.number is not None:
            self.numbers.append(value.number)
            buffer = ("constant", 1, len(self.numbers) - 1)
        else:
            self.known.append((value.known, (value.size,)))
            self.operands.append(Place("known", len(self.known) - 1))
            buffer = ("constant", value.size, -1)
        self.buffers.append((_SPACES.index(buffer[0]), *buffer[1:]))
        return len(self.buffers) - 1

    def placed(self, place, width, is_written):
        if place.space in ("state", "next", "sum"):
            return place.space, width, place.number
        if is_written:
            self.results.append((place, width))
            return "sequence", width, _IS_RESULT if place in self.unread else _HAS_ZEROS
        self.operands.append(place)
        if place.space == "lagged":
            return "lagged", width, -1
        is_projected = place in self.projected
        return "sequence", width, _IS_PROJECTED - place.number if is_projected else _IS_GIVEN

    def view(self, view, outer, unit):
        return self.of_value[view.value], view.offset, outer, unit

    def instructions(self, operation):
        name, out, inputs, matrix = operation
        number = OPERATIONS.index(name)
        if matrix is not None:
            views = [(out, matrix.units), *zip(inputs, (matrix.depth, matrix.units), strict=False)]
            encoded = [self.view(v, v.strides[0] if matrix.heads > 1 else 0, 1) for v, _ in views]
            head = number, self.matrix_numbers[matrix], len(inputs), matrix.heads, matrix.units
            return [(*head, *(x for view in encoded for x in view))]
        views, inner_views = (out, *inputs), inputs
        shape, inner = out.shape, None
        units = [1] * len(views)
        if name in _REDUCTIONS or name in NORMALIZING:
            kept = len(shape) - (name in NORMALIZING)
            inner = math.prod(inputs[0].shape[kept:])
            views = [View(x.value, x.offset, x.shape[:kept], x.strides[:kept]) for x in views]
            shape, inner_views = shape[:kept], ()
        axes = collapsed(shape, [view.strides for view in views])
        if inner is None:
            inner = 1
            if axes and axes[-1][1][0] == 1 and all(s in (0, 1) for s in axes[-1][1]):
                inner, units = axes.pop()
            elif not axes or not inner_views:
                is_same = [self.is_same(view) for view in views]
                units = [int(not flag) for flag in is_same]
        outer, outer_strides = axes.pop() if axes else (1, [0] * len(views))
        places = list(np.ndindex(*(n for n, _ in axes))) if axes else [()]
        if len(places) > _MOST:
            raise NotCovered(f"its `{name}` is on an array of {len(axes) + 2} axes")
        written = []
        for place in places:
            if outer * inner > _LARGEST:
                raise NotCovered(f"its `{name}` is on {outer * inner} numbers of a row")
            line = [number, 0, len(inputs), outer, inner]
            for k, view in enumerate(views):
                moved = sum(i * axis[1][k] for i, axis in zip(place, axes, strict=True))
                shifted = view._replace(offset=view.offset + moved)
                line += self.view(shifted, outer_strides[k], units[k])
            written.append(tuple(line))
        return written

    def is_same(self, view):
        """Whether it shows one number, the same for all rows."""
        value = self.values[view.value]
        return view.value not in self.places and (
            value.number is not None or value.known is not None
        )
