"""The operations of a step, and of its derivative."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from jaxrnn.engines.program._arranging import Arranged, arranged
from jaxrnn.engines.program._operations import Operation
from jaxrnn.engines.program._placement import Place
from jaxrnn.engines.program._step import StepProgram
from jaxrnn.engines.program._views import View, whole


class Kept(NamedTuple):
    """What a forward pass keeps for the backward pass, besides u.

    Attributes:
      after: the leaves of the carry that are kept after each step.
      before: those that are read before each step, as they were kept after the one before.
      saved: the values that are kept.
    """

    after: tuple[int, ...]
    before: tuple[int, ...]
    saved: tuple[View, ...]


def inputs_of(step: StepProgram) -> tuple[tuple[View, ...], ...]:
    """The views of the carry, of u, and of the cotangent of the new carry."""
    views, count = step.joint.inputs, len(step.pullback.carry)
    return views[:count], views[count : len(views) - count], views[len(views) - count :]


def outputs_of(step: StepProgram, places: range) -> list[View]:
    """The views at some places of the pullback."""
    return [step.joint.outputs[i] for i in places]


def backward_values(step: StepProgram) -> set[int]:
    """The values that depend on the cotangent of the new carry."""
    found = {view.value for view in inputs_of(step)[2]}
    size = -1
    while size != len(found):
        size = len(found)
        for operation in step.joint.operations:
            if any(view.value in found for view in operation.inputs):
                found.add(operation.output.value)
    return found


def cotangents_of(step: StepProgram) -> list[int]:
    """The places of all cotangents."""
    p = step.pullback
    return [*p.vectors, *p.before, *p.inputs, *p.products]


def is_whole(step: StepProgram, view: View) -> bool:
    """Whether a view shows all numbers of its value, in order."""
    return view.is_whole(step.joint.values[view.value].size)


def made_again(step: StepProgram, back: set[int], kept: Collection[int]) -> list[Operation]:
    """The operations of the forward pass that the backward pass repeats.

    Args:
      step: whose operations they are.
      back: its `backward_values`.
      kept: the values that are there.
    """
    operations = step.joint.operations
    wanted = {view.value for view in outputs_of(step, cotangents_of(step))}
    for operation in reversed(operations):
        if operation.output.value in back:
            wanted.update(view.value for view in operation.inputs)
    made = []
    for operation in reversed(operations):
        value = operation.output.value
        if value in wanted and value not in back and value not in kept:
            made.append(operation)
            wanted.update(view.value for view in operation.inputs)
    return made[::-1]


def _just_before(made: list[Operation], operations: list[Operation]) -> list[Operation]:
    """`operations`, each after those of `made` that it reads, so that few values live at once."""
    writers, out = {}, []
    for operation in made:
        writers.setdefault(operation.output.value, []).append(operation)

    def write(view):
        for operation in writers.pop(view.value, ()):
            emit(operation)

    def emit(operation):
        for view in operation.inputs:
            write(view)
        out.append(operation)

    for operation in operations:
        emit(operation)
    for value in list(writers):  # what is an output itself
        write(whole(value, ()))
    return out


def forward_pass(step: StepProgram, saved: Sequence[View], kept: Sequence[int]) -> Arranged:
    """The operations of a step, which writes views and leaves of the new carry.

    Args:
      step: whose operations are written.
      saved: the views that it writes.
      kept: the numbers of the leaves that it writes.
    """
    carry, inputs, _ = inputs_of(step)
    given = {view.value: Place("state", j) for j, view in enumerate(carry)}
    given |= {view.value: Place("input", i) for i, view in enumerate(inputs)}
    back = backward_values(step)
    operations = [o for o in step.joint.operations if o.output.value not in back]
    new = outputs_of(step, step.pullback.carry)
    outputs = [(view, Place("saved", i)) for i, view in enumerate(saved)]
    outputs += [(view, Place("next", j)) for j, view in enumerate(new)]
    outputs += [(new[j], Place("after", j)) for j in kept]
    return arranged(step.joint.values, operations, given, outputs, [])


def backward_pass(
    step: StepProgram, kept: Kept, outs: tuple[int, ...], shared: tuple[Place | None, ...]
) -> Arranged:
    """The operations of the derivative of a step.

    Args:
      step: whose operations are written.
      kept: what the forward pass keeps.
      outs: the leaves of the carry that are handed out after each step.
      shared: as ``Programs.sums``.
    """
    carry, inputs, cotangents = inputs_of(step)
    back = backward_values(step)
    new = outputs_of(step, step.pullback.carry)
    given = {view.value: Place("input", i) for i, view in enumerate(inputs)}
    given |= {view.value: Place("lagged", j) for j, view in enumerate(carry)}
    given |= {new[j].value: Place("after", j) for j in kept.after}
    given |= {
        view.value: Place("saved", i) for i, view in enumerate(kept.saved) if is_whole(step, view)
    }
    operations = made_again(step, back, set(given))
    # The cotangent of the new carry is that of the next step and that of what is handed out.
    values = list(step.joint.values)
    totals = []
    for j, view in enumerate(cotangents):
        if j not in outs:
            given[view.value] = Place("state", j)
            continue
        parts = []
        for place in Place("state", j), Place("dafter", j):
            values.append(values[view.value])
            given[len(values) - 1] = place
            parts.append(whole(len(values) - 1, view.shape))
        totals.append(Operation("add", view, tuple(parts)))
    operations = _just_before(
        operations, totals + [o for o in step.joint.operations if o.output.value in back]
    )
    p = step.pullback
    outputs = [(v, Place("dproduct", i)) for i, v in enumerate(outputs_of(step, p.products))]
    outputs += [(v, Place("dinput", i)) for i, v in enumerate(outputs_of(step, p.inputs))]
    outputs += [(v, Place("next", j)) for j, v in enumerate(outputs_of(step, p.before))]
    vectors = zip(outputs_of(step, p.vectors), shared, strict=True)
    own = [view for view, place in vectors if place is None]
    sums = [(view, Place("sum", i)) for i, view in enumerate(own)]
    return arranged(values, operations, given, outputs, sums)
