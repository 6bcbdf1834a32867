"""Where intermediate values are kept: as few buffers as their lifetimes allow."""

from typing import Any, NamedTuple

from jaxrnn.engines.program._operations import Operation


class Storage(NamedTuple):
    """The scratch of a program.

    Attributes:
      buffers: the width of each, and whether it holds a few rows between two products.
      buffer_of: for each value in scratch, the number of its buffer.
    """

    buffers: list[tuple[int, bool]]
    buffer_of: dict[int, int]


def stored(operations: list[Operation], values: list[Any], placed: set[int]) -> Storage:
    """The storage of all values that `operations` write and that are not in `placed`.

    A buffer is used again when its value has been read for the last time. A value that is written
    and read between two products needs a few rows only.
    """
    part, parts, last, first = 0, {}, {}, {}
    for at, operation in enumerate(operations):
        part += operation.matrix is not None
        here = -part if operation.matrix is not None else part  # a product is a part of its own
        for view in (operation.output, *operation.inputs):
            parts.setdefault(view.value, set()).add(here)
            last[view.value] = at
            first.setdefault(view.value, at)
    written = {o.output.value for o in operations}
    buffers, buffer_of, free = [], {}, {}
    for at, operation in enumerate(operations):
        value = operation.output.value
        if first[value] == at and value not in placed:
            kind = values[value].size, len(parts[value]) == 1 and min(parts[value]) >= 0
            waiting = free.setdefault(kind, [])
            if not waiting:
                buffers.append(kind)
                waiting.append(len(buffers) - 1)
            buffer_of[value] = waiting.pop()
        for view in {v.value: v for v in (operation.output, *operation.inputs)}.values():
            v = view.value
            if last[v] == at and v in buffer_of and v in written:
                kind = values[v].size, len(parts[v]) == 1 and min(parts[v]) >= 0
                free[kind].append(buffer_of[v])
    return Storage(buffers, buffer_of)
