"""Fewer operations for the same numbers."""

from typing import Any

from jaxrnn.engines.program._matching import Matching, pairs
from jaxrnn.engines.program._normalized import with_readers
from jaxrnn.engines.program._operations import Operation
from jaxrnn.engines.program._views import View, row_major

_SLOPES = frozenset(("tanh_slope", "logistic_slope"))
_AFTER_ADD = {"tanh": "add_tanh", "logistic": "add_logistic"}


def fused(operations: list[Operation], values: list[Any], placed: set[int]) -> list[Operation]:
    """With common groups of operations in one.

    Args:
      operations: in order.
      values: what they read and write.
      placed: values that are read outside.
    """
    fusion = Fusion(operations, values, placed)
    steps = fusion.with_slope, fusion.with_sum, fusion.with_product, fusion.with_mix
    operations = with_readers(fusion.change(*steps), values, placed)
    fusion = Fusion(operations, values, placed)
    return fusion.change(fusion.with_scale)


class Fusion(Matching):
    """Each method maps an operation to one that stands for it and others."""

    def with_slope(self, operation):
        """The derivatives of tanh and sigmoid, from their values."""
        if operation.name != "mul":
            return operation
        for slope, d in pairs(operation):
            product = self.made(slope, "mul")
            if product is None or slope.shape != operation.output.shape:
                continue
            for x, y in pairs(product):
                rest = self.made(y, "sub")
                if rest is None or self.number(rest.inputs[0]) != 1:
                    continue
                value = rest.inputs[1]
                if value == x:
                    return self.become(
                        operation, product, rest, name="logistic_slope", inputs=(value, d)
                    )
                more = self.made(x, "add")
                if more and value in more.inputs and 1 in map(self.number, more.inputs):
                    absorbed = product, rest, more
                    return self.become(operation, *absorbed, name="tanh_slope", inputs=(value, d))
        return operation

    def with_sum(self, operation):
        if operation.name in _AFTER_ADD:
            (view,) = operation.inputs
            total = self.made_alike(operation, view, "add")
            if total:
                name = _AFTER_ADD[operation.name]
                return self.become(operation, total, name=name, inputs=total.inputs)
        if operation.name == "reduce_sum":
            return self.with_factors(operation)
        if operation.name == "accumulate":
            (view,) = operation.inputs
            product = self.made_alike(operation, view, "mul")
            if product:
                inputs = product.inputs
                return self.become(operation, product, name="accumulate_products", inputs=inputs)
        if operation.name == "sub":
            return self.with_difference(operation)
        if operation.name != "add":
            return operation
        for view, other in pairs(operation):
            negative = self.made_alike(operation, view, "neg")
            if negative:
                inputs = (other, *negative.inputs)
                changed = self.become(operation, negative, name="sub", inputs=inputs)
                return self.with_difference(changed)
        for view, other in pairs(operation):
            product = self.made(view, "product")
            is_plain = product and len(product.inputs) == 1
            if is_plain and other.is_contiguous() and operation.output.is_contiguous():
                shape = product.output.shape
                start = View(other.value, other.offset, shape, row_major(shape))
                out = operation.output
                output = View(out.value, out.offset, shape, row_major(shape))
                inputs = (product.inputs[0], start)
                return self.become(
                    operation, product, name="product", inputs=inputs, output=output,
                    matrix=product.matrix,
                )  # fmt: skip
        for view, other in pairs(operation):
            product = self.made_alike(operation, view, "mul")
            if product:
                inputs = (*product.inputs, other)
                return self.become(operation, product, name="multiply_add", inputs=inputs)
        return operation

    def with_difference(self, operation):
        a, b = operation.inputs
        first, second = (self.made_alike(operation, view, "mul") for view in (a, b))
        if first:
            inputs = (*first.inputs, b)
            return self.become(operation, first, name="multiply_subtract", inputs=inputs)
        if second:
            inputs = (a, *second.inputs)
            return self.become(operation, second, name="subtract_product", inputs=inputs)
        return operation

    def with_product(self, operation):
        """What is multiplied by 1 - x, or slopes of a product."""
        if operation.name == "mul":
            for view, other in pairs(operation):
                rest = self.made_alike(operation, view, "sub")
                if rest and self.number(rest.inputs[0]) == 1:
                    inputs = (rest.inputs[1], other)
                    return self.become(operation, rest, name="one_minus_times", inputs=inputs)
        if operation.name in _SLOPES:
            value, d = operation.inputs
            product = self.made_alike(operation, d, "mul")
            if product:
                name, inputs = f"{operation.name}_times", (value, *product.inputs)
                return self.become(operation, product, name=name, inputs=inputs)
        return operation

    def with_mix(self, operation):
        """(1 - a) b + a c, and its derivative with respect to a."""
        if operation.name == "logistic_slope":
            value, d = operation.inputs
            difference = self.made_alike(operation, d, "times_difference")
            if difference:
                inputs = (value, *difference.inputs)
                name = "logistic_slope_difference"
                return self.become(operation, difference, name=name, inputs=inputs)
        if operation.name == "multiply_subtract":
            a, b, view = operation.inputs
            product = self.made_alike(operation, view, "mul")
            if product:
                for x, y in pairs(product):
                    if x in (a, b):
                        inputs = (x, b if x == a else a, y)
                        return self.become(
                            operation, product, name="times_difference", inputs=inputs
                        )
        if operation.name == "multiply_add":
            return self.as_mix(operation)
        return operation

    def as_mix(self, operation):
        *factors, view = operation.inputs
        for a, c in (factors, factors[::-1]):
            rest = self.made_alike(operation, view, "one_minus_times")
            if rest and rest.inputs[0] == a:
                return self.become(operation, rest, name="mix", inputs=(a, rest.inputs[1], c))
            product = self.made_alike(operation, view, "mul")
            rest = self.made_alike(operation, a, "sub")
            if not product or not rest or self.number(rest.inputs[0]) != 1:
                continue
            for x, y in pairs(product):
                if x == rest.inputs[1]:
                    return self.become(operation, product, rest, name="mix", inputs=(x, c, y))
        product = self.made_alike(operation, view, "mul")
        if product:
            inputs = (*factors, *product.inputs)
            return self.become(operation, product, name="add_products", inputs=inputs)
        return operation

    def with_scale(self, operation):
        """A difference times another array."""
        if operation.name == "mul":
            for view, other in pairs(operation):
                difference = self.made_alike(operation, view, "sub")
                if difference:
                    inputs = (*difference.inputs, other)
                    return self.become(
                        operation, difference, name="difference_times", inputs=inputs
                    )
        return operation

    def with_factors(self, operation):
        """A sum of products, of two arrays whose numbers to add follow each other."""
        (view,) = operation.inputs
        kept = len(operation.output.shape)
        square = self.made(view, "square")
        if square and square.inputs[0].shape == view.shape and square.inputs[0].is_contiguous():
            inputs = square.inputs * 2
            return self.become(operation, square, name="reduce_products", inputs=inputs)
        product = self.made(view, "mul")
        if product is None or product.output.shape != view.shape:
            return operation
        inner = row_major(view.shape[kept:])
        if any(factor.strides[kept:] != inner for factor in product.inputs):
            return operation
        return self.become(operation, product, name="reduce_products", inputs=product.inputs)
