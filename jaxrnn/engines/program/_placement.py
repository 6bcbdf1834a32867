"""Values written where they are wanted, without copies."""

from typing import Any

from jaxrnn.engines.program._operations import Operation
from jaxrnn.engines.program._views import View


def in_place(operations: list[Operation], values: list[Any], placed: set[int]) -> list[Operation]:
    """Without copies of whole values into parts of others: they are written there at once.

    Args:
      operations: in order.
      values: what they read and write.
      placed: values whose place is fixed.
    """
    sizes = {}
    for operation in operations:
        target = operation.output.value
        sizes[target] = sizes.get(target, 0) + operation.output.size
    moved = {}
    for operation in operations:
        out = operation.output
        if operation.name != "copy" or sizes[out.value] != values[out.value].size:
            continue
        (view,) = operation.inputs
        source = view.value
        can_move = (
            source in sizes
            and source not in placed
            and source not in moved
            and source != out.value
            and sizes[source] == values[source].size
            and view.is_whole(values[source].size)
            and out.is_contiguous()
        )
        if can_move:
            moved[source] = (out.value, out.offset)

    def at(view):
        value, offset = view.value, view.offset
        while value in moved:
            value, more = moved[value]
            offset += more
        return View(value, offset, view.shape, view.strides)

    out = []
    for operation in operations:
        output, inputs = at(operation.output), tuple(map(at, operation.inputs))
        if operation.name != "copy" or not _is_same(output, inputs[0]):
            out.append(operation._replace(output=output, inputs=inputs))
    return out


def _is_same(a, b):
    return (a.value, a.offset) == (b.value, b.offset) and a.is_contiguous() and b.is_contiguous()
