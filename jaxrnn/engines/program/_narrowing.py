"""Computes only the columns of a row that are read."""

from typing import Any

from jaxrnn.engines.program._operations import Operation
from jaxrnn.engines.program._views import View, whole

_TOGETHER = ("reduce", "accumulate", "mean", "normalize", "product")  # not number by number


def narrowed(operations: list[Operation], values: list[Any], placed: set[int]) -> list[Operation]:
    """The operations, without columns of their results that nothing reads.

    Args:
      operations: in order.
      values: what they read and write; the results of narrower ones are added.
      placed: values that are read outside.
    """
    times = {}
    for operation in operations:
        value = operation.output.value
        times[value] = times.get(value, 0) + 1
    spans, moved, out = {}, {}, []
    for operation in reversed(operations):
        name, output, inputs, _ = operation
        begin, end = spans.get(output.value, (0, 0))
        can_be_narrower = (
            output.value not in placed
            and times[output.value] == 1
            and not name.startswith(_TOGETHER)
            and len(output.shape) == 1
            and output.is_whole(values[output.value].size)
        )
        if can_be_narrower and 0 < end - begin < output.size:
            values.append(type(values[0])(end - begin))
            moved[output.value] = len(values) - 1, begin
            inputs = tuple(_columns(view, begin, end) for view in inputs)
            output = whole(len(values) - 1, (end - begin,))
            operation = operation._replace(output=output, inputs=inputs)
        out.append(operation)
        for view in inputs:
            first, last = _span(view)
            begin, end = spans.get(view.value, (first, last))
            spans[view.value] = min(begin, first), max(end, last)

    if not moved:
        return operations

    def at(view):
        if view.value not in moved:
            return view
        value, begin = moved[view.value]
        return view._replace(value=value, offset=view.offset - begin)

    return [
        o._replace(inputs=tuple(map(at, o.inputs)))
        if any(view.value in moved for view in o.inputs)
        else o
        for o in reversed(out)
    ]


def _columns(view, begin, end):
    (stride,) = view.strides
    return View(view.value, view.offset + begin * stride, (end - begin,), (stride,))


def _span(view):
    """The first number that a view shows, and the one after its last."""
    steps = [(n - 1) * s for n, s in zip(view.shape, view.strides, strict=True)]
    first = view.offset + sum(step for step in steps if step < 0)
    return first, view.offset + sum(step for step in steps if step > 0) + 1
