"""From the equations of a tape to operations on rows."""

import numpy as np

from jaxrnn.engines.program._operations import OPERATIONS, Lowered, Matrix
from jaxrnn.engines.program._rules import Rules
from jaxrnn.engines.program._tape import Ref, Tape, depending
from jaxrnn.engines.program._views import NotCovered, View, permuted, row_major

# Primitives with an operation of the same kind for each number.
ELEMENTWISE = {name: name for name in OPERATIONS[: OPERATIONS.index("select_n") + 1]}
ELEMENTWISE |= {"add_any": "add", "gt": "lt", "ge": "le"}
_SWAPPED = frozenset(("gt", "ge"))
_SAME = frozenset(("copy_p", "stop_gradient", "clip_carry_gradient", "optimization_barrier"))


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


class _Lowering(Rules):
    def __init__(self, tape, num_known, zeros, dtype):
        super().__init__(tape)
        self.dtype, self.zeros = dtype, set(map(Ref, zeros))
        self.rows = [Ref(i) for i in range(num_known, len(tape.inputs))]
        self.dependent = depending(tape, self.rows)

    def run(self):
        for ref in self.rows:
            self.views[ref] = self.new(self.tape.types[ref.number].shape)
        inputs = tuple(self.views[ref] for ref in self.rows)
        for equation, given, out in self.tape.entries:
            if self.dependent.isdisjoint(out):
                continue
            views = self.apply(equation, given)
            self.check_types(equation)
            self.views.update(zip(out, views, strict=True))
        outputs = [self.operand(x) for x in self.tape.outputs]
        return Lowered(self.values, self.operations, inputs, tuple(outputs))

    def check_types(self, equation):
        for var in equation.outvars:
            if var.aval.dtype not in (self.dtype, np.dtype(bool)):
                raise NotCovered(f"its `{equation.primitive.name}` computes {var.aval.dtype}")

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
            others = [view for view in views if self.values[view.value].number != 1]
            if name == "mul" and len(others) == 1:
                return others
            return [self.emit(ELEMENTWISE[name], views, shape)]
        if name in _SAME:
            return views
        rule = getattr(self, f"rule_{name}", None)
        if rule is None:
            raise NotCovered(f"there is no operation for its `{name}`")
        return rule(views, params, shape)

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
        if (
            len(contract[0]) != 1
            or len(contract[1]) > 1
            or len(known_free) > 1
            or not (is_one and is_in_order)
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
