"""Shifting and scaling to mean 0 and variance 1: two operations, and one for its derivative."""

import math
from typing import Any

from jaxrnn.engines.program._fusion import Fusion
from jaxrnn.engines.program._matching import Matching, pairs
from jaxrnn.engines.program._operations import Lowered, Operation, Value, live
from jaxrnn.engines.program._slopes import with_slopes
from jaxrnn.engines.program._statistics import (
    ends_in_order,
    is_count,
    is_same,
    of_rows,
    one_of_each,
)
from jaxrnn.engines.program._views import View, row_major, whole


def normalizing(lowered: Lowered) -> Lowered:
    """The operations with those of each normalization in few; as they are where there is none."""
    if all(operation.name != "rsqrt" for operation in lowered.operations):
        return lowered
    values, placed = list(lowered.values), {view.value for view in lowered.outputs}
    fusion = Fusion(lowered.operations, values, placed)
    operations = fusion.change(fusion.with_slope, fusion.with_sum)
    found = _Normalizing(operations, values, placed)
    operations = found.change(found.with_mean, found.with_statistics, found.with_normalized)
    if not found.statistics:
        return lowered
    operations = with_slopes(live(operations, placed), values, placed)
    return lowered._replace(values=values, operations=operations)


class _Normalizing(Matching):
    def __init__(self, operations: list[Operation], values: list[Any], placed: set[int]):
        super().__init__(operations, values, placed)
        # By the value 1 / sqrt(variance + eps): the rows, those minus their mean, and the view of
        # the mean and of that value.
        self.statistics = {}

    def with_mean(self, operation):
        if operation.name != "div":
            return operation
        total = self.made(operation.inputs[0], "reduce_sum")
        if total is None or not is_count(self.number(operation.inputs[1]), total):
            return operation
        shape = total.output.shape  # without axes of one number at its end
        output = View(operation.output.value, operation.output.offset, shape, row_major(shape))
        inputs = total.inputs
        return self.become(operation, total, name="reduce_mean", inputs=inputs, output=output)

    def with_statistics(self, operation):
        """The mean of rows, and 1 / sqrt(variance + eps), where the variance is from the mean."""
        if operation.name != "rsqrt" or operation.output.value in self.placed:
            return operation
        shifted = self.made(operation.inputs[0], "add")
        for view, eps in pairs(shifted) if shifted else ():
            variance = self.made(view, "div")
            total = variance and self.made(variance.inputs[0], "reduce_products")
            if self.number(eps) is None or not total:
                continue
            centered = self.writers.get(total.inputs[0].value)
            is_square = total.inputs[0] == total.inputs[1] and centered
            if not is_square or centered.name != "sub" or centered.output != total.inputs[0]:
                continue
            x, mean = centered.inputs
            made, kept = self.writers.get(mean.value), total.output.shape
            if (
                one_of_each(mean, total) is None
                or made is None
                or made.name != "reduce_mean"
                or not (made.inputs[0] == x or is_same(made.inputs[0], x))
                or not ends_in_order(x, len(kept))
                or not is_count(self.number(variance.inputs[1]), total)
            ):
                continue
            self.values.append(Value(2 * math.prod(kept)))
            both = whole(len(self.values) - 1, (*kept, 2))
            rows = of_rows(x, len(kept))
            self.statistics[operation.output.value] = rows, centered.output, both
            spread = View(eps.value, eps.offset, (*kept, 1), (0,) * (len(kept) + 1))
            self.writers[both.value] = Operation("mean_and_scale", both, (rows, spread))
            return self.writers[both.value]
        return operation

    def with_normalized(self, operation):
        """What is normalized, and other readers of 1 / sqrt(variance + eps)."""
        if operation.name == "mul":
            for view, scale in pairs(operation):
                rows, centered, both = self.statistics.get(scale.value, (None,) * 3)
                if rows is None or not is_same(view, centered):
                    continue
                kept = both.shape[:-1]
                spread = scale.shape[: len(kept)], scale.strides[: len(kept)]
                if spread == (kept, row_major(kept)) and not any(scale.strides[len(kept) :]):
                    output = of_rows(operation.output, len(kept))
                    return self.become(
                        operation, name="normalize", output=output, inputs=(rows, both)
                    )
        return self.become(operation, inputs=tuple(map(self.moved, operation.inputs)))

    def moved(self, view):
        if view.value not in self.statistics:
            return view
        both = self.statistics[view.value][-1].value
        return View(both, 2 * view.offset + 1, view.shape, tuple(2 * s for s in view.strides))
