"""The three programs of a cell: forward, forward for a derivative, and backward."""

import dataclasses
import functools
from typing import NamedTuple

from jaxrnn.engines.program._code import Code, encode
from jaxrnn.engines.program._keeping import kept_values
from jaxrnn.engines.program._operations import Operation
from jaxrnn.engines.program._placement import Place, in_place
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


@dataclasses.dataclass(frozen=True, eq=False)
class Programs:
    """The programs of a cell.

    Attributes:
      step: what they are made of.
      kept: for the backward pass.
      outs: the leaves of the carry that are handed out after each step.
      multiplied: for each product, where what it multiplies is kept.
      sums: for each parameter that is no matrix, the place whose sum over all rows is its
        cotangent, which the gradient of a matrix adds up too; None where the program adds it up.
      num_products: the number of leaves of u, from the first on, that are products of the inputs.
    """

    step: StepProgram
    kept: Kept
    outs: tuple[int, ...]
    multiplied: tuple[Place, ...]
    sums: tuple[Place | None, ...]
    num_products: int

    @functools.cache  # noqa: B019
    def forward(self) -> Code:
        """From the carry and u to the new carry."""
        return _forward(self.step, [], [("after", j) for j in self.outs])

    @functools.cache  # noqa: B019
    def training_forward(self) -> Code:
        """The same, which keeps what the backward pass reads."""
        after = {*self.kept.after, *self.kept.before}
        kept = [("after", j) for j in sorted({*self.outs, *after})]
        saved = self.kept.saved
        unread = [Place("saved", i) for i in range(len(saved))]
        unread += [Place("after", j) for j in after - {*self.outs}]
        return _forward(self.step, saved, kept, unread if self.skips_masked else ())

    @functools.cache  # noqa: B019
    def backward(self) -> Code:
        """From the cotangent of the new carry to all others."""
        unread = [Place("dproduct", i) for i in range(len(self.multiplied))]
        unread += [Place("dinput", i) for i in range(self.num_products)]
        unread = unread if self.skips_masked else ()
        kept = set(self.training_forward().aliases) | set(self.multiplied)
        free = {Place("saved", i) for i in range(len(self.kept.saved))} - kept
        free |= {Place("input", i) for i in range(self.num_products)}
        free |= {Place("dafter", j) for j in self.outs}
        return _backward(self.step, self.kept, self.outs, self.sums, unread, free)

    @property
    def skips_masked(self) -> bool:
        """Whether the products over all steps leave out masked rows: XLA's, of heads, do not."""
        return all(matrix.heads == 1 for matrix in self.step.matrices)


def programs(step: StepProgram, outs: tuple[int, ...], num_products: int) -> Programs:
    """The programs of a step whose carry is handed out in part: the leaves `outs`.

    Args:
      step: what they are made of.
      outs: the leaves that are handed out.
      num_products: the number of leaves of u, from the first on, that are products of the inputs.
    """
    back = _backward_values(step)
    step = _joined(step, back)
    kept, multiplied = _kept(step, back, outs)
    sums = _shared_sums(step, num_products)
    return Programs(step, kept, outs, multiplied, sums, num_products)


def _joined(step, back):
    """The step, with the parts of a joined array that the backward pass reads written into it.

    So the array is kept, and not its parts, which would have to be joined again.
    """
    operations = step.joint.operations
    read = {view.value for o in operations if o.output.value in back for view in o.inputs}
    fixed = {*back, *(view.value for view in (*step.joint.inputs, *step.joint.outputs))}
    fixed |= {
        o.inputs[0].value
        for o in operations
        if o.name == "copy" and o.output.value not in read - back
    }
    operations = in_place(operations, step.joint.values, fixed)
    return step._replace(joint=step.joint._replace(operations=operations))


def _shared_sums(step, num_products):
    """For each vector, the cotangent of a product that is its own cotangent too."""
    p = step.pullback
    places = {v: Place("dinput", i) for i, v in enumerate(_outputs(step, p.inputs)[:num_products])}
    places |= {v: Place("dproduct", i) for i, v in enumerate(_outputs(step, p.products))}
    return tuple(places.get(view) for view in _outputs(step, p.vectors))


def _inputs(step):
    """The views of the carry, of u, and of the cotangent of the new carry."""
    views, count = step.joint.inputs, len(step.pullback.carry)
    return views[:count], views[count : len(views) - count], views[len(views) - count :]


def _outputs(step, places):
    return [step.joint.outputs[i] for i in places]


def _backward_values(step):
    """The values that depend on the cotangent of the new carry."""
    found = {view.value for view in _inputs(step)[2]}
    size = -1
    while size != len(found):
        size = len(found)
        for operation in step.joint.operations:
            if any(view.value in found for view in operation.inputs):
                found.add(operation.output.value)
    return found


def _kept(step, back, outs):
    carry, _, _ = _inputs(step)
    values, operations = step.joint.values, step.joint.operations
    writers = {}
    for operation in operations:
        writers.setdefault(operation.output.value, []).append(operation)
    before = {view.value: j for j, view in enumerate(carry)}
    multiplied = _outputs(step, step.pullback.multiplied)
    read = {view.value for o in operations if o.output.value in back for view in o.inputs} | {
        view.value for view in _outputs(step, _cotangents(step))
    }
    forced = [v for v in multiplied if v.value not in before or not _is_whole(step, v)]
    new = {
        v.value: j
        for j, v in enumerate(_outputs(step, step.pullback.carry))
        if _is_whole(step, v) and v.value in writers
    }
    # What stands after a step is written where it is read before the next one.
    written = {v for v, j in new.items() if j in outs or carry[j].value in read}
    required = kept_values(
        [o for o in operations if o.output.value not in back],
        values,
        {v for v in read if v not in back},
        {v.value for v in forced if v.value in writers},
        written,
    )
    after = tuple(sorted(new[value] for value in required if value in new))
    saved = [whole(value, (values[value].size,)) for value in sorted(required) if value not in new]
    places, extra = [], []
    for view in multiplied:
        if view.value in before and _is_whole(step, view):
            places.append(Place("before", before[view.value]))
        elif view.value in new and _is_whole(step, view):
            places.append(Place("after", new[view.value]))
        elif view.value in required and _is_whole(step, view):
            places.append(Place("saved", [v.value for v in saved].index(view.value)))
        else:
            places.append(Place("saved", len(saved) + len(extra)))
            extra.append(view)
    made = _made_again(step, back, required)
    is_read = {view.value for o in operations if o.output.value in back for view in o.inputs}
    is_read |= {view.value for o in made for view in o.inputs}
    is_read |= {view.value for view in _outputs(step, _cotangents(step))}
    leaves = {before[value] for value in is_read if value in before}
    leaves |= {place.number for place in places if place.space == "before"}
    return Kept(after, tuple(sorted(leaves)), (*saved, *extra)), tuple(places)


def _cotangents(step):
    p = step.pullback
    return [*p.vectors, *p.before, *p.inputs, *p.products]


def _is_whole(step, view):
    return view.is_whole(step.joint.values[view.value].size)


def _made_again(step, back, kept) -> list[Operation]:
    """The operations of the forward pass that the backward pass repeats."""
    operations = step.joint.operations
    wanted = {view.value for view in _outputs(step, _cotangents(step))}
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


def _forward(step, saved, kept, unread=()) -> Code:
    carry, inputs, _ = _inputs(step)
    given = {view.value: Place("state", j) for j, view in enumerate(carry)}
    given |= {view.value: Place("input", i) for i, view in enumerate(inputs)}
    back = _backward_values(step)
    operations = [o for o in step.joint.operations if o.output.value not in back]
    new = _outputs(step, step.pullback.carry)
    outputs = [(view, Place("saved", i)) for i, view in enumerate(saved)]
    outputs += [(view, Place("next", j)) for j, view in enumerate(new)]
    outputs += [(new[j], Place(name, j)) for name, j in kept]
    return encode(step, operations, given, outputs, [], unread=unread)


def _backward(step, kept, outs, shared, unread, free) -> Code:
    carry, inputs, cotangents = _inputs(step)
    back = _backward_values(step)
    new = _outputs(step, step.pullback.carry)
    given = {view.value: Place("input", i) for i, view in enumerate(inputs)}
    given |= {view.value: Place("lagged", j) for j, view in enumerate(carry)}
    given |= {new[j].value: Place("after", j) for j in kept.after}
    given |= {
        view.value: Place("saved", i) for i, view in enumerate(kept.saved) if _is_whole(step, view)
    }
    operations = _made_again(step, back, set(given))
    # The cotangent of the new carry is that of the next step and that of what is handed out.
    values = list(step.joint.values)
    joins = []
    for j, view in enumerate(cotangents):
        if j not in outs:
            given[view.value] = Place("state", j)
            continue
        parts = []
        for place in Place("state", j), Place("dafter", j):
            values.append(values[view.value])
            given[len(values) - 1] = place
            parts.append(whole(len(values) - 1, view.shape))
        joins.append(Operation("add", view, tuple(parts)))
    operations = _just_before(
        operations, joins + [o for o in step.joint.operations if o.output.value in back]
    )
    p = step.pullback
    outputs = [(v, Place("dproduct", i)) for i, v in enumerate(_outputs(step, p.products))]
    outputs += [(v, Place("dinput", i)) for i, v in enumerate(_outputs(step, p.inputs))]
    outputs += [(v, Place("next", j)) for j, v in enumerate(_outputs(step, p.before))]
    vectors = zip(_outputs(step, p.vectors), shared, strict=True)
    own = [view for view, place in vectors if place is None]
    sums = [(view, Place("sum", i)) for i, view in enumerate(own)]
    step = step._replace(joint=step.joint._replace(values=values))
    choices = {"is_backward": True, "unread": unread, "free": free}
    return encode(step, operations, given, outputs, sums, **choices)
