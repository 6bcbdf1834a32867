"""Results that are written where an array that is read for the last time lies."""

from collections.abc import Callable, Collection

from jaxrnn.engines.program._operations import Operation
from jaxrnn.engines.program._placement import Place
from jaxrnn.engines.program._views import View


def sums_first(operations: list[Operation]) -> list[Operation]:
    """The operations, with each sum over the steps right after what it reads is made."""
    out = []
    for operation in operations:
        at = len(out)
        if operation.name.startswith("accumulate"):
            read = {view.value for view in operation.inputs}
            while at and out[at - 1].output.value not in read:
                at -= 1
        out.insert(at, operation)
    return out


def reused(
    operations: list[Operation],
    places: dict[int, Place],
    sizes: dict[Place, int],
    results: Collection[Place],
    free: Collection[Place],
) -> dict[Place, Place]:
    """For results, the arrays in whose memory they can be.

    At each step, what is overwritten has been read before, or is read by the operation that writes
    there.

    Args:
      operations: in order.
      places: of the values that have one.
      sizes: the numbers of a row of each.
      results: that are written.
      free: arrays that are read at their own step alone, and not after the call.
    """
    found = {}
    reads = {array: views_at(operations, places, array, lambda o: o.inputs) for array in free}
    for result in sorted(results):
        writes = views_at(operations, places, result, lambda o: (o.output,))
        for array in sorted(free):
            if array in found.values() or sizes[array] != sizes[result]:
                continue
            if is_harmless(operations, reads[array], writes):
                found[result] = array
                break
    return found


def views_at(
    operations: list[Operation],
    places: dict[int, Place],
    place: Place,
    views_of: Callable[[Operation], tuple[View, ...]],
) -> list[tuple[int, View]]:
    """Where `operations` have a view of a place, and the view."""
    return [
        (at, view)
        for at, operation in enumerate(operations)
        for view in views_of(operation)
        if places.get(view.value) == place
    ]


def is_harmless(
    operations: list[Operation], reads: list[tuple[int, View]], writes: list[tuple[int, View]]
) -> bool:
    """Whether what `writes` overwrite is not read then, or later; as `views_at` finds them."""
    return all(
        read < write or _is_apart(operations[write].name, out, read > write, view)
        for write, out in writes
        for read, view in reads
    )


def _is_apart(name, out, is_later, view):
    """Whether an operation may write `out` where `view` is read then, or later."""
    if not (out.is_contiguous() and view.is_contiguous()):
        return False
    first, last = (out.offset, view.offset), (out.offset + out.size, view.offset + view.size)
    is_same = first[0] == first[1] and last[0] == last[1]
    return max(first) >= min(last) or (is_same and not is_later and name != "product")
