"""What is kept for the backward pass lies where an input was, and where its cotangent will be."""

from collections.abc import Collection, Mapping

from jaxrnn.engines.program._arranging import Arranged
from jaxrnn.engines.program._placement import Columns, Place
from jaxrnn.engines.program._reusing import is_harmless, views_at


def joined(
    forward: Arranged, backward: Arranged, inputs: Collection[Place], fixed: Collection[Place]
) -> dict[Place, Columns]:
    """Where kept values are in arrays as wide as an input, ``Place("joined", i)`` for input i.

    Going forward, an input has been read before a kept value is written there; going backward, that
    has been read before the cotangent of the input is.

    Args:
      forward: the program that keeps the values.
      backward: the one that reads them.
      inputs: those that may be overwritten.
      fixed: kept values that stay where they are.
    """
    found, widths = {}, forward.sizes()
    kept = [place for place in widths if place.space == "saved" and place not in fixed]
    last = {place: [at for at, _ in _reads(backward, place)] for place in kept}
    kept.sort(key=lambda place: (-max(last[place], default=0), place))
    for array in sorted(inputs):
        space = Place("joined", array.number)
        cotangent = Place("dinput", array.number)
        cotangent = backward.aliases.get(cotangent, cotangent)
        reads, writes = _reads(forward, array), _writes(backward, cotangent)
        starts = {0, *(out.offset for _, out in writes)}
        spans = []
        for place in [place for place in kept if place not in found]:
            size = widths[place]
            for begin in sorted(starts):
                end = begin + size
                is_free = all(end <= first or stop <= begin for first, stop in spans)
                if size == widths[array] or end > widths[array] or not is_free:
                    continue
                there = begin, forward.operations, reads, _writes(forward, place)
                back = begin, backward.operations, _reads(backward, place), writes
                if _fits_forward(*there) and _fits_backward(*back):
                    found[place] = Columns(space, begin, end)
                    spans.append((begin, end))
                    starts.add(end)
                    break
    return found


def with_joins(made: Arranged, joins: Mapping[Place, Columns]) -> Arranged:
    """The same operations, where some places are columns of others: the result of `joined`."""
    if not joins:
        return made
    values, widths = list(made.values), made.sizes()
    moved, places = {}, {}
    for value, place in made.places.items():
        if place not in joins:
            places[value] = place
            continue
        array, begin, _ = joins[place]
        if array not in places.values():
            values.append(type(values[0])(widths[Place("input", array.number)]))
            places[len(values) - 1] = array
        (holder,) = (v for v, p in places.items() if p == array)
        moved[value] = holder, begin

    def at(view):
        if view.value not in moved:
            return view
        value, begin = moved[view.value]
        return view._replace(value=value, offset=view.offset + begin)

    operations = [
        o._replace(output=at(o.output), inputs=tuple(map(at, o.inputs))) for o in made.operations
    ]
    return made._replace(values=values, operations=operations, places=places)


def _fits_forward(begin, operations, reads, writes):
    """Whether what is written, `begin` numbers further, is not read afterwards."""
    moved = [(at, _moved(out, begin)) for at, out in writes]
    return is_harmless(operations, reads, moved)


def _fits_backward(begin, operations, reads, writes):
    moved = [(at, _moved(view, begin)) for at, view in reads]
    return is_harmless(operations, moved, writes)


def _moved(view, begin):
    return view._replace(offset=view.offset + begin)


def _reads(made, place):
    return views_at(made.operations, made.places, place, lambda o: o.inputs)


def _writes(made, place):
    return views_at(made.operations, made.places, place, lambda o: (o.output,))
