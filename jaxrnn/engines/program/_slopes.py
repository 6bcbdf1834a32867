"""The derivative of a normalization as one operation."""

import itertools
from typing import Any

from jaxrnn.engines.program._matching import Matching, pairs
from jaxrnn.engines.program._operations import Operation
from jaxrnn.engines.program._statistics import (
    ends_in_order,
    is_count,
    is_same,
    of_rows,
    one_of_each,
)
from jaxrnn.engines.program._views import View, row_major


def with_slopes(
    operations: list[Operation], values: list[Any], placed: set[int]
) -> list[Operation]:
    """The operations with the derivative of each normalization in one.

    Args:
      operations: in order, what is normalized in one.
      values: what they read and write.
      placed: values that are read outside.
    """
    found = _Slopes(operations, values, placed)
    found = _Slopes(found.change(found.with_slope), values, placed)
    return found.change(found.with_gain)


class _Slopes(Matching):
    def with_slope(self, operation):
        """g - mean(g) - y mean(y g), where g is a scale for each row times a cotangent.

        Another cotangent may be added to it.
        """
        if operation.name != "multiply_add":
            return operation
        *factors, rest = operation.inputs
        shifted = self.made(rest, "add")
        for part, g in pairs(shifted) if shifted else ():
            more = self.made(part, "add")
            candidates = [(part, None, ())]
            candidates += [(m, x, (more,)) for m, x in (pairs(more) if more else ())]
            for (mean, other, absorbed), factor in itertools.product(candidates, factors):
                y = factors[1 - factors.index(factor)]
                found = self.slope(y, factor, mean, g)
                if found is None:
                    continue
                inputs, needless = found
                kept = len(inputs[0].shape) - 1
                output = of_rows(shifted.output if other else operation.output, kept)
                changes = {"name": "normalize_slope", "inputs": inputs, "output": output}
                needless = (*needless, *absorbed)
                if other is None:
                    return self.become(operation, shifted, *needless, **changes)
                if self.written_at.get(y.value, -1) < self.written_at[rest.value]:
                    self.become(shifted, *needless, **changes)
                    return self.become(operation, name="add", inputs=(other, rest))
        return operation

    def slope(self, y, factor, mean, g):
        """The inputs of `normalize_slope`, and the operations that it makes needless."""
        scaled = self.made(g, "mul", reads=3)
        total = self.negative_mean(mean, "reduce_sum")
        products = self.negative_mean(factor, "reduce_products")
        normalized = self.writers.get(y.value)
        if not scaled or not total or not products or not is_same(total[0].inputs[0], g):
            return None
        if not normalized or normalized.name != "normalize":
            return None
        if not is_same(normalized.output, y) or not any(
            is_same(a, y) and is_same(b, g) for a, b in pairs(products[0])
        ):
            return None
        x, both = normalized.inputs
        kept = both.shape[:-1]
        expected = View(both.value, 1, kept, tuple(2 * s for s in row_major(kept)))
        for scale, d in pairs(scaled):
            if (
                one_of_each(scale, total[0]) == expected
                and d.shape == g.shape
                and ends_in_order(d, len(kept))
            ):
                return (x, both, of_rows(d, len(kept))), (scaled, *total, *products)
        return None

    def negative_mean(self, view, name):
        """The sum over each row, its negative, and that over its count, which `view` spreads."""
        quotient = self.writers.get(view.value)
        if not quotient or quotient.name != "div" or self.reads[view.value] != 1:
            return None
        negative = self.made(quotient.inputs[0], "neg")
        total = negative and self.made(negative.inputs[0], name)
        if not total or not is_count(self.number(quotient.inputs[1]), total):
            return None
        return (total, negative, quotient) if one_of_each(view, total) is not None else None

    def with_gain(self, operation):
        """A cotangent that is a product of two arrays, of which several may read a part."""
        if operation.name != "normalize_slope":
            return operation
        x, both, d = operation.inputs
        product = self.writers.get(d.value)
        if product is None or product.name != "mul" or d.value in self.placed:
            return operation
        views = d, product.output, *product.inputs
        if any(len(view.shape) != 1 or not view.is_contiguous() for view in views):
            return operation
        readers = [o for o in self.operations if any(d.value == v.value for v in o.inputs)]
        if product.output.offset or any(
            o.name != "normalize_slope" or o.inputs[2].value != d.value for o in readers
        ):
            return operation
        parts = [v._replace(offset=v.offset + d.offset, shape=d.shape) for v in product.inputs]
        changes = {"name": "normalize_slope_times", "inputs": (x, both, *parts)}
        return self.become(operation, product, **changes)
