"""The operations of a program in their last form, before they are written as numbers."""

from typing import Any, NamedTuple

from jaxrnn.engines.program._fusion import fused
from jaxrnn.engines.program._narrowing import narrowed
from jaxrnn.engines.program._operations import Operation, live
from jaxrnn.engines.program._placement import (
    Columns,
    Place,
    in_place,
    with_outputs,
    within_inputs,
)
from jaxrnn.engines.program._reusing import sums_first
from jaxrnn.engines.program._views import View


class Arranged(NamedTuple):
    """Operations, and where the values are that others read or make.

    Attributes:
      values: what the operations read and write.
      operations: in order.
      places: of the values that have one.
      aliases: places that another one holds too.
      within: places that another one holds among others.
    """

    values: list[Any]
    operations: list[Operation]
    places: dict[int, Place]
    aliases: dict[Place, Place]
    within: dict[Place, Columns]

    def sizes(self) -> dict[Place, int]:
        """The numbers of a row of each place."""
        return {place: self.values[value].size for value, place in self.places.items()}

    def reads(self, place: Place) -> bool:
        """Whether an operation reads what is there."""
        return any(self.places.get(v.value) == place for o in self.operations for v in o.inputs)


def arranged(
    values: list[Any],
    operations: list[Operation],
    given: dict[int, Place],
    outputs: list[tuple[View, Place]],
    sums: list[tuple[View, Place]],
) -> Arranged:
    """The operations, fewer of them, with what they write in its place.

    Args:
      values: what they read and write.
      operations: in order.
      given: the places of values that are there.
      outputs: what is written, and where to.
      sums: what is added up over the steps, and where.
    """
    values = list(values)
    operations, placed, aliases = with_outputs(values, list(operations), given, outputs, sums)
    within = within_inputs(values, operations, placed, set(aliases.values()))
    places = {**given, **placed}
    operations = in_place(operations, values, set(places))
    operations = live(operations, set(placed))
    operations = narrowed(operations, values, set(places))
    operations = sums_first(fused(operations, values, set(places)))
    return Arranged(values, operations, places, aliases, within)
