"""Shifting and scaling to mean 0 and variance 1 in three operations, and its derivative in one."""

import itertools
import math
from typing import Any

from jaxrnn.engines.program._matching import Matching, pairs
from jaxrnn.engines.program._operations import Operation
from jaxrnn.engines.program._views import View, row_major


def normalizing(operations: list[Operation], values: list[Any], placed: set[int]):
    """The operations with those of a normalization in few.

    Args:
      operations: in order, sums of products and products to which something is added in one.
      values: what they read and write.
      placed: values that are read outside.
    """
    found = _Normalizing(operations, values, placed)
    operations = found.change(found.with_mean, found.with_deviation, found.with_slope)
    found = _Normalizing(operations, values, placed)
    return found.change(found.with_gain)


class _Normalizing(Matching):
    def with_mean(self, operation):
        if operation.name != "div":
            return operation
        total = self.made(operation.inputs[0], "reduce_sum")
        if total is None or not self.is_count(operation.inputs[1], total):
            return operation
        output = _without_axes(operation.output, total)
        inputs = total.inputs
        return self.become(operation, total, name="reduce_mean", inputs=inputs, output=output)

    def is_count(self, view, total):
        """Whether `view` is how many numbers `total` adds up."""
        (_, last), size = _split(total), math.prod(total.output.shape)
        return size and self.number(view) == total.inputs[0].size // size and last

    def with_deviation(self, operation):
        """1 / sqrt(variance + eps), where the variance is from the mean."""
        if operation.name != "rsqrt":
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
            mean, x = _of_rows(centered.inputs[1], total), centered.inputs[0]
            if (
                mean is None
                or not _ends_in_order(x, len(total.output.shape))
                or not self.is_count(variance.inputs[1], total)
            ):
                continue
            kept = total.output.shape
            spread = View(eps.value, eps.offset, kept, (0,) * len(kept))
            value = centered.output.value
            self.reads[value] -= 2
            needless = () if self.reads[value] or value in self.placed else (centered,)
            return self.become(
                operation, shifted, variance, total, *needless, name="inverse_deviation",
                inputs=(x, mean, spread), output=_without_axes(operation.output, total),
            )  # fmt: skip
        return operation

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
                output = shifted.output if other else operation.output
                output, *inputs = self.of_rows(output, *inputs)
                changes = {"name": "normalize_slope", "inputs": tuple(inputs), "output": output}
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
        if not scaled or not total or not products or not _is_same(total[0].inputs[0], g):
            return None
        kept = len(total[0].output.shape)
        is_alike = len(products[0].output.shape) == kept and _ends_in_order(y, kept)
        if not is_alike or not any(
            _is_same(a, y) and _is_same(b, g) for a, b in pairs(products[0])
        ):
            return None
        for scale, d in pairs(scaled):
            scale = _of_rows(scale, total[0])
            if scale is not None and d.shape == g.shape and _ends_in_order(d, kept):
                return (y, scale, d), (scaled, *total, *products)
        return None

    def negative_mean(self, view, name):
        """The sum over each row, its negative, and that over its count, which `view` spreads."""
        quotient = self.writers.get(view.value)
        if not quotient or quotient.name != "div" or self.reads[view.value] != 1:
            return None
        negative = self.made(quotient.inputs[0], "neg")
        total = negative and self.made(negative.inputs[0], name)
        if not total or not self.is_count(quotient.inputs[1], total):
            return None
        return (total, negative, quotient) if _of_rows(view, total) is not None else None

    def with_gain(self, operation):
        """A cotangent that is a product of two arrays, of which several may read a part."""
        if operation.name != "normalize_slope":
            return operation
        y, scale, d = operation.inputs
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
        changes = {"name": "normalize_slope_times", "inputs": (y, scale, *parts)}
        return self.become(operation, product, **changes)

    def of_rows(self, output, y, scale, d):
        """With all that a row has in one axis."""
        kept = len(scale.shape)

        def rows(view):
            size = math.prod(view.shape[kept:])
            return View(view.value, view.offset, (*scale.shape, size), (*view.strides[:kept], 1))

        return rows(output), rows(y), scale, rows(d)


def _split(total):
    """The axes that a reduction keeps, and the last ones, which it takes together."""
    kept = len(total.output.shape)
    return total.inputs[0].shape[:kept], total.inputs[0].shape[kept:]


def _of_rows(view, total):
    """One number for each row that `total` reduces; None if `view` has several."""
    kept, last = _split(total)
    if view.shape != (*kept, *last) or any(
        n != 1 and s for n, s in zip(last, view.strides[len(kept) :], strict=True)
    ):
        return None
    return View(view.value, view.offset, kept, view.strides[: len(kept)])


def _without_axes(view, total):
    """A view of one number for each row, which may have axes of one number at its end."""
    kept, _ = _split(total)
    return View(view.value, view.offset, kept, row_major(kept))


def _ends_in_order(view, kept):
    last = view.shape[kept:]
    return all(
        n == 1 or s == t for n, s, t in zip(last, view.strides[kept:], row_major(last), strict=True)
    )


def _is_same(a, b):
    return a[:2] == b[:2] and a.size == b.size and a.is_contiguous() and b.is_contiguous()
