"""What a forward pass keeps for the backward pass: what costs least, by a minimum cut."""

from collections.abc import Collection

from jaxrnn.engines._flow import SINK, SOURCE, UNBOUNDED, side_of_sink
from jaxrnn.engines.program._operations import Operation, Value

# Costs for each number: an array is written and read past the first cache; an operation on what
# is there is not, and may become part of another one.
_KEEP, _READ, _APPLY = 8, 2, 1
_DEAR = ("exp", "expm1", "log", "log1p", "tanh", "logistic", "add_tanh", "add_logistic")
_DEAR = dict.fromkeys(_DEAR, 32)
_DEAR |= dict.fromkeys(("sqrt", "rsqrt", "div"), 12)
_DEAR |= {"mean_and_scale": 4, "product": UNBOUNDED}
_EACH = 8  # numbers that a call for a row costs as much as


def kept_values(
    operations: list[Operation],
    values: list[Value],
    required: Collection[int],
    fixed: Collection[int],
    written: Collection[int],
) -> set[int]:
    """The values to keep, from which the others that are required are computed again.

    Args:
      operations: of the forward pass, in order.
      values: what they read and write.
      required: values that the backward pass reads.
      fixed: those that must be kept.
      written: those that are written in any case.
    """
    writers = {}
    for operation in operations:
        writers.setdefault(operation.output.value, []).append(operation)
    edges = []
    for value, made in writers.items():
        size = values[value].size + _EACH
        edges.append(((value, 0), (value, 1), (_READ if value in written else _KEEP) * size))
        again = UNBOUNDED if value in fixed else sum(map(_cost, made))
        edges.append((SOURCE, (value, 0), min(again, UNBOUNDED)))
        for operation in made:
            for view in operation.inputs:
                if view.value in writers:
                    edges.append(((view.value, 1), (value, 0), UNBOUNDED))
    edges += [((value, 1), SINK, UNBOUNDED) for value in {*required, *fixed} if value in writers]
    late = side_of_sink(edges)
    return {value for value in writers if (value, 1) in late and (value, 0) not in late}


def _cost(operation):
    """Of computing it again."""
    size = max(view.size for view in (operation.output, *operation.inputs)) + _EACH
    return _DEAR.get(operation.name, _APPLY) * size
