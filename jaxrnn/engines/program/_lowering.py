"""From the equations of a tape to operations on rows."""

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np

from jaxrnn.engines.program._tape import Ref, Tape, depending
from jaxrnn.engines.program._views import (
    NotCovered,
    View,
    broadcast,
    permuted,
    reshaped,
    row_major,
    sliced,
    whole,
)

# Primitives with an operation of the same kind for each number.
ELEMENTWISE = {
    name: name
    for name in (
        "neg abs sign exp expm1 log log1p tanh logistic sqrt rsqrt square not add sub mul div max "
        "min eq ne lt le and or select_n copy"
    ).split()
} | {"add_any": "add", "gt": "lt", "ge": "le"}
_SWAPPED = frozenset(("gt", "ge"))
_SAME = frozenset(("copy_p", "stop_gradient", "clip_carry_gradient", "reduce_precision"))
_LARGEST_SUM = 64  # terms of a sum that is written out


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


def lower(tape: Tape, num_known: int, zeros: range, dtype: np.dtype) -> Lowered:
    """The operations of a tape.

    Args:
      tape: what to lower.
      num_known: how many of its inputs, the first, are the same for all rows.
      zeros: those that are zero.
      dtype: of all numbers.

    Raises:
      NotCovered: an operation has none.
    """
    return _Lowering(tape, num_known, zeros, dtype).run()


class _Lowering:
    def __init__(self, tape, num_known, zeros, dtype):
        self.tape, self.dtype = tape, dtype
        self.zeros = set(map(Ref, zeros))
        self.values, self.operations = [], []
        self.rows = [Ref(i) for i in range(num_known, len(tape.inputs))]
        self.dependent = depending(tape, self.rows)
        self.views = {}  # of the refs that depend on a row
        self.known = {}  # numbers of the values that do not

    def run(self):
        for ref in self.rows:
            self.views[ref] = self.new(self.tape.types[ref.number].shape)
        inputs = tuple(self.views[ref] for ref in self.rows)
        for equation, given, out in self.tape.entries:
            if self.dependent.isdisjoint(out):
                continue
            self.check_types(equation)
            views = self.apply(equation, given)
            self.views.update(zip(out, views, strict=True))
        outputs = [self.operand(x) for x in self.tape.outputs]
        return Lowered(self.values, self.operations, inputs, tuple(outputs))

    def check_types(self, equation):
        for var in equation.outvars:
            if var.aval.dtype not in (self.dtype, np.dtype(bool)):
                raise NotCovered(f"its `{equation.primitive.name}` computes {var.aval.dtype}")

    def new(self, shape):
        self.values.append(Value(math.prod(shape)))
        return whole(len(self.values) - 1, tuple(shape))

    def operand(self, x):
        """The view of what an equation reads: of a row, a parameter or a number."""
        if isinstance(x, Ref) and x in self.views:
            return self.views[x]
        key = x if isinstance(x, Ref) else id(x) if np.shape(x) else float(x)
        if key not in self.known:
            if isinstance(x, Ref):
                shape, known = self.tape.types[x.number].shape, {"known": x}
            else:
                shape = np.shape(x)
                known = {"known": x} if shape else {"number": float(x)}
            self.values.append(Value(math.prod(shape), **known))
            self.known[key] = whole(len(self.values) - 1, tuple(shape))
        return self.known[key]

    def emit(self, name, inputs, shape, matrix=None):
        out = self.new(shape)
        self.operations.append(Operation(name, out, tuple(inputs), matrix))
        return out

    def spread(self, view, shape):
        axes = range(len(shape) - len(view.shape), len(shape))
        return view if view.shape == tuple(shape) else broadcast(view, tuple(shape), axes)

    def apply(self, equation, given):
        name, params = equation.primitive.name, equation.params
        shape = equation.outvars[0].aval.shape
        if name == "dot_general":
            return [self.product(given, params, shape)]
        if name == "add" and not self.zeros.isdisjoint(x for x in given if isinstance(x, Ref)):
            return [self.operand(x) for x in given if x not in self.zeros]
        views = [self.operand(x) for x in given]
        if name in ELEMENTWISE:
            views = [self.spread(view, shape) for view in views]
            views = views[::-1] if name in _SWAPPED else views
            if name == "select_n" and len(views) != 3:
                raise NotCovered("its `select_n` chooses among more than two")
            return [self.emit(ELEMENTWISE[name], views, shape)]
        if name in _SAME or name == "optimization_barrier":
            return views
        rule = getattr(self, f"rule_{name}", None)
        if rule is None:
            raise NotCovered(f"there is no operation for its `{name}`")
        return rule(views, params, shape)

    def rule_convert_element_type(self, views, params, shape):
        return views  # truth is 1 and 0

    def rule_integer_pow(self, views, params, shape):
        (x,), power = views, params["y"]
        if not 0 < abs(power) <= 8:
            raise NotCovered(f"its `integer_pow` has the exponent {power}")
        result = x
        for _ in range(abs(power) - 1):
            result = self.emit("mul", (result, x), shape)
        if power < 0:
            one = self.spread(self.operand(1.0), shape)
            result = self.emit("div", (one, result), shape)
        return [result]

    def rule_is_finite(self, views, params, shape):
        difference = self.emit("sub", views * 2, shape)  # NaN for what is not
        return [self.emit("eq", (difference, difference), shape)]

    def rule_clamp(self, views, params, shape):
        low, x, high = (self.spread(view, shape) for view in views)
        return [self.emit("min", (self.emit("max", (low, x), shape), high), shape)]

    def rule_broadcast_in_dim(self, views, params, shape):
        return [broadcast(views[0], shape, params["broadcast_dimensions"])]

    def rule_reshape(self, views, params, shape):
        view = reshaped(views[0], shape)
        return [self.copied(views[0], shape) if view is None else view]

    rule_squeeze = rule_expand_dims = rule_reshape

    def copied(self, view, shape):
        return reshaped(self.emit("copy", (view,), view.shape), shape)

    def rule_transpose(self, views, params, shape):
        return [permuted(views[0], params["permutation"])]

    def rule_slice(self, views, params, shape):
        bounds = params["start_indices"], params["limit_indices"], params["strides"]
        return [sliced(views[0], *bounds)]

    def rule_split(self, views, params, shape):
        (view,), axis, out, start = views, params["axis"], [], 0
        for size in map(int, params["sizes"]):
            starts, limits = [0] * len(view.shape), list(view.shape)
            starts[axis], limits[axis] = start, start + size
            out.append(sliced(view, starts, limits))
            start += size
        return out

    def rule_concatenate(self, views, params, shape):
        out, axis, start = self.new(shape), params["dimension"], 0
        for view in views:
            starts, limits = [0] * len(shape), list(shape)
            starts[axis], limits[axis] = start, start + view.shape[axis]
            self.operations.append(Operation("copy", sliced(out, starts, limits), (view,)))
            start += view.shape[axis]
        return [out]

    def rule_pad(self, views, params, shape):
        view, filling = views
        config = params["padding_config"]
        if any(low < 0 or high < 0 for low, high, _ in config):
            raise NotCovered("its `pad` takes away")
        out = self.new(shape)
        zeros = self.spread(filling, shape)
        self.operations.append(Operation("copy", out, (zeros,)))
        starts = [low for low, _, _ in config]
        steps = [inner + 1 for _, _, inner in config]
        limits = [
            low + (n - 1) * step + 1 for low, n, step in zip(starts, view.shape, steps, strict=True)
        ]
        self.operations.append(Operation("copy", sliced(out, starts, limits, steps), (view,)))
        return [out]

    def rule_reduce_sum(self, views, params, shape):
        (view,) = views
        last = self.operations[-1] if self.operations else None
        if last and last.name == "neg" and last.output == view:  # negates fewer numbers
            total = self.reduced("reduce_sum", "add", last.inputs[0], params["axes"], shape)
            return [self.emit("neg", (total,), shape)]
        return [self.reduced("reduce_sum", "add", view, params["axes"], shape)]

    def rule_reduce_max(self, views, params, shape):
        return [self.reduced("reduce_max", "max", views[0], params["axes"], shape)]

    def rule_reduce_min(self, views, params, shape):
        return [self.reduced("reduce_min", "min", views[0], params["axes"], shape)]

    def reduced(self, name, of_two, view, axes, shape):
        kept = [i for i in range(len(view.shape)) if i not in axes]
        ordered = permuted(view, (*kept, *axes))
        size = math.prod(view.shape[i] for i in axes)
        if size == 1:
            return View(view.value, view.offset, tuple(shape), ordered.strides[: len(kept)])
        inner = [
            (n, s)
            for n, s in zip(ordered.shape[len(kept) :], ordered.strides[len(kept) :], strict=True)
            if n != 1
        ]
        if all(s == t for (_, s), t in zip(inner, row_major([n for n, _ in inner]), strict=True)):
            return self.emit(name, (ordered,), shape)
        if size > _LARGEST_SUM:
            raise NotCovered(f"its `{name}` is over {size} numbers that lie apart")
        total = None
        for place in np.ndindex(*ordered.shape[len(kept) :]):
            starts = (0,) * len(kept) + place
            limits = ordered.shape[: len(kept)] + tuple(i + 1 for i in place)
            term = reshaped(sliced(ordered, starts, limits), shape)
            total = term if total is None else self.emit(of_two, (total, term), shape)
        return total

    def product(self, given, params, shape):
        """A product of rows with a parameter, ``(heads, K), (heads, K, N) -> (heads, N)``."""
        axes = params["dimension_numbers"]
        of_row = [isinstance(x, Ref) and x in self.views for x in given]
        if all(of_row):
            raise NotCovered("it multiplies one part of the state by another (`dot_general`)")
        at = of_row.index(True)
        row, known = self.views[given[at]], given[1 - at]
        known_shape = self.tape.types[known.number].shape if isinstance(known, Ref) else known.shape
        (contract, batch) = ([pair[at] for pair in axes], [pair[1 - at] for pair in axes])
        free = [i for i in range(len(row.shape)) if i not in (*contract[0], *contract[1])]
        known_free = [i for i in range(len(known_shape)) if i not in (*batch[0], *batch[1])]
        is_one = all(row.shape[i] == 1 for i in free)
        is_in_order = not contract[1] or contract[1] < contract[0]
        if len(contract[0]) != 1 or len(contract[1]) > 1 or len(known_free) > 1 or not (
            is_one and is_in_order
        ):
            raise NotCovered("its `dot_general` is not of a row and a matrix")
        order = [*batch[1], *batch[0], *known_free]
        in_order = [i for i in order if known_shape[i] != 1]
        is_transposed = in_order != sorted(in_order)
        heads = known_shape[batch[1][0]] if batch[1] else 1
        depth = known_shape[batch[0][0]]
        units = known_shape[known_free[0]] if known_free else 1
        if is_transposed and batch[1] and in_order[0] != min(in_order):
            raise NotCovered("its `dot_general` has the axis of heads last")
        matrix = Matrix(known, heads, depth, units, is_transposed)
        row = permuted(row, [*contract[1], *contract[0], *free])
        row = View(row.value, row.offset, (heads, depth), self.row_strides(row, batch[1]))
        if depth > 1 and row.strides[1] != 1:
            row = self.copied(row, (heads, depth))
        out = self.emit("product", (row,), (heads, units), matrix)
        return View(out.value, 0, tuple(shape), row_major(shape))

    def row_strides(self, row, heads):
        return (row.strides[0] if heads else 0, row.strides[len(heads)])
