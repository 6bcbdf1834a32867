"""Where the values of a program are written, without copies that are not needed."""

from typing import Any, NamedTuple

from jaxrnn.engines.program._operations import Operation
from jaxrnn.engines.program._views import View, whole

_RESULTS = frozenset(("saved", "after", "dproduct", "dinput"))


class Place(NamedTuple):
    """Where the numbers of a value come from or go to, such as leaf 1 of the state."""

    space: str
    number: int


class Columns(NamedTuple):
    """A part of each row of a place."""

    place: Place
    begin: int
    end: int


def with_outputs(values, operations, given, outputs, sums):
    """The operations that also write the outputs, the places of values, and aliases."""
    computed = {o.output.value for o in operations}
    placed, aliases = {}, {}
    for view, place in outputs:
        value = view.value
        if value in computed and view.is_whole(values[value].size):
            if value not in placed:
                placed[value] = place
                continue
            if placed[value].space in _RESULTS and place.space in _RESULTS:
                aliases[place] = placed[value]
                continue
        placed[_copied(values, operations, "copy", view)] = place
    for view, place in sums:
        placed[_copied(values, operations, "accumulate", view)] = place
    return operations, placed, aliases


def within_inputs(values, operations, placed, fixed):
    """Takes cotangents of products out of `placed` that are parts of those of the inputs.

    Those that are `fixed` stay.
    """
    found = {}
    for name, out, inputs, _ in operations:
        place = placed.get(inputs[0].value)
        if name != "copy" or place is None or place.space != "dproduct" or place in fixed:
            continue
        holder, is_whole = placed.get(out.value), inputs[0].is_whole(values[inputs[0].value].size)
        if holder is not None and holder.space == "dinput" and out.is_contiguous() and is_whole:
            found[place] = Columns(holder, out.offset, out.offset + out.size)
            del placed[inputs[0].value]
    return found


def _copied(values, operations, name, view):
    values.append(type(values[0])(view.size))
    out = whole(len(values) - 1, view.shape)
    operations.append(Operation(name, out, (view,)))
    return len(values) - 1


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

    if not moved:
        return operations

    def at(view):
        value, offset = view.value, view.offset
        if value not in moved:
            return view
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
