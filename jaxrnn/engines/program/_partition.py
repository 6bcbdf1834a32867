"""The three programs of a cell: forward, forward for a derivative, and backward."""

import dataclasses
import functools

from jaxrnn.engines.program._code import Code, encode
from jaxrnn.engines.program._joining import joined
from jaxrnn.engines.program._keeping import kept_values
from jaxrnn.engines.program._passes import (
    Kept,
    backward_pass,
    backward_values,
    cotangents_of,
    forward_pass,
    inputs_of,
    is_whole,
    made_again,
    outputs_of,
)
from jaxrnn.engines.program._placement import Columns, Place, in_place
from jaxrnn.engines.program._step import StepProgram
from jaxrnn.engines.program._views import whole


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
        made = forward_pass(self.step, [], self.outs)
        return encode(self.step, made, free=self.products, projected=self.products)

    @functools.cache  # noqa: B019
    def training_forward(self) -> Code:
        """The same, which keeps what the backward pass reads."""
        forward, _ = self._passes()
        after = {Place("after", j) for j in self._after() - {*self.outs}}
        unread = self._saved() | after if self.skips_masked else ()
        choices = {"unread": unread, "free": self._overwritten(), "joins": self.joins()}
        return encode(self.step, forward, projected=self.products, **choices)

    @functools.cache  # noqa: B019
    def backward(self) -> Code:
        """From the cotangent of the new carry to all others."""
        _, backward = self._passes()
        unread = {Place("dproduct", i) for i in range(len(self.multiplied))}
        unread |= {Place("dinput", place.number) for place in self.products}
        free = self._saved() - self._fixed() | self.products
        free |= {Place("dafter", j) for j in self.outs}
        choices = {"unread": unread if self.skips_masked else (), "joins": self.joins()}
        return encode(self.step, backward, free=free, **choices)

    @functools.cache  # noqa: B019
    def joins(self) -> dict[Place, Columns]:
        """Where kept values are in arrays that lie where inputs were."""
        return joined(*self._passes(), self._overwritten(), self._fixed())

    @functools.cache  # noqa: B019
    def _passes(self):
        forward = forward_pass(self.step, self.kept.saved, sorted({*self.outs, *self._after()}))
        return forward, backward_pass(self.step, self.kept, self.outs, self.sums)

    def _after(self):
        """The leaves that are kept after each step for the backward pass."""
        return {*self.kept.after, *self.kept.before}

    def _overwritten(self):
        """The inputs that nothing reads after the forward pass."""
        return {place for place in self.products if not self._passes()[1].reads(place)}

    def _saved(self):
        """The places of what is kept for the backward pass alone."""
        joins, saved = self.joins(), {Place("saved", i) for i in range(len(self.kept.saved))}
        return saved - joins.keys() | {columns.place for columns in joins.values()}

    def _fixed(self):
        """The places that are read after the backward pass, or that two names have."""
        aliases = self._passes()[0].aliases
        return {*aliases, *aliases.values(), *self.multiplied}

    @property
    def products(self) -> set[Place]:
        """The leaves of u that are products of the inputs, which nobody else reads."""
        return {Place("input", i) for i in range(self.num_products)}

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
    back = backward_values(step)
    step = _written_whole(step, back)
    kept, multiplied = _kept(step, back, outs)
    sums = _shared_sums(step, num_products)
    return Programs(step, kept, outs, multiplied, sums, num_products)


def _written_whole(step, back):
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
    places = {
        v: Place("dinput", i) for i, v in enumerate(outputs_of(step, p.inputs)[:num_products])
    }
    places |= {v: Place("dproduct", i) for i, v in enumerate(outputs_of(step, p.products))}
    return tuple(places.get(view) for view in outputs_of(step, p.vectors))


def _kept(step, back, outs):
    carry, _, _ = inputs_of(step)
    values, operations = step.joint.values, step.joint.operations
    writers = {}
    for operation in operations:
        writers.setdefault(operation.output.value, []).append(operation)
    before = {view.value: j for j, view in enumerate(carry)}
    multiplied = outputs_of(step, step.pullback.multiplied)
    read = {view.value for o in operations if o.output.value in back for view in o.inputs} | {
        view.value for view in outputs_of(step, cotangents_of(step))
    }
    forced = [v for v in multiplied if v.value not in before or not is_whole(step, v)]
    new = {
        v.value: j
        for j, v in enumerate(outputs_of(step, step.pullback.carry))
        if is_whole(step, v) and v.value in writers
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
        if view.value in before and is_whole(step, view):
            places.append(Place("before", before[view.value]))
        elif view.value in new and is_whole(step, view):
            places.append(Place("after", new[view.value]))
        elif view.value in required and is_whole(step, view):
            places.append(Place("saved", [v.value for v in saved].index(view.value)))
        else:
            places.append(Place("saved", len(saved) + len(extra)))
            extra.append(view)
    made = made_again(step, back, required)
    is_read = {view.value for o in operations if o.output.value in back for view in o.inputs}
    is_read |= {view.value for o in made for view in o.inputs}
    is_read |= {view.value for view in outputs_of(step, cotangents_of(step))}
    leaves = {before[value] for value in is_read if value in before}
    leaves |= {place.number for place in places if place.space == "before"}
    return Kept(after, tuple(sorted(leaves)), (*saved, *extra)), tuple(places)
