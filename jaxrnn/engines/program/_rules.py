"""The operations of each primitive that is more than one for each number."""

import math
from typing import Any

import numpy as np

from jaxrnn.engines.program._operations import Operation, Value
from jaxrnn.engines.program._tape import Ref, Tape
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

_LARGEST_SUM = 256  # terms of a sum that is written out


class Rules:
    """Values and operations in the making; ``rule_NAME(views, params, shape)`` adds a primitive.

    A rule returns the views of what the primitive computes. Views of parts, of spread and of turned
    arrays cost no operation.
    """

    def __init__(self, tape: Tape):
        self.tape = tape
        self.values: list[Value] = []
        self.operations: list[Operation] = []
        self.views: dict[Ref, View] = {}  # of the refs that depend on a row
        self.known: dict[Any, View] = {}  # of the values that do not

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

    def rule_one_minus_square(self, views, params, shape):
        one = self.spread(self.operand(1.0), shape)  # of tanh's derivative, from jax 0.12 on
        more, less = (self.emit(name, (one, *views), shape) for name in ("add", "sub"))
        return [self.emit("mul", (more, less), shape)]

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

    def rule_stack(self, views, params, shape):
        out, axis = self.new(shape), params["axis"]
        for place, view in enumerate(views):
            starts, limits = [0] * len(shape), list(shape)
            starts[axis], limits[axis] = place, place + 1
            part = reshaped(sliced(out, starts, limits), view.shape)
            self.operations.append(Operation("copy", part, (view,)))
        return [out]

    def rule_unstack(self, views, params, shape):
        (view,), axis, out = views, params["axis"], []
        for place in range(view.shape[axis]):
            starts, limits = [0] * len(view.shape), list(view.shape)
            starts[axis], limits[axis] = place, place + 1
            part = sliced(view, starts, limits)
            kept = [i for i in range(len(view.shape)) if i != axis]
            strides = tuple(part.strides[i] for i in kept)
            out.append(View(part.value, part.offset, tuple(shape), strides))
        return out

    def rule_pad(self, views, params, shape):
        view, filling = views
        config = params["padding_config"]
        wide = tuple(
            n + sum(max(side, 0) for side in sides) + max(n - 1, 0) * inner
            for n, (*sides, inner) in zip(view.shape, config, strict=True)
        )
        out = self.new(wide)
        self.operations.append(Operation("copy", out, (self.spread(filling, wide),)))
        starts = [max(low, 0) for low, _, _ in config]
        steps = [inner + 1 for _, _, inner in config]
        limits = [
            low + (n - 1) * step + 1 for low, n, step in zip(starts, view.shape, steps, strict=True)
        ]
        self.operations.append(Operation("copy", sliced(out, starts, limits, steps), (view,)))
        # A negative number takes away.
        first = [max(-low, 0) for low, _, _ in config]
        last = [n - max(-high, 0) for n, (_, high, _) in zip(wide, config, strict=True)]
        return [sliced(out, first, last)]

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
