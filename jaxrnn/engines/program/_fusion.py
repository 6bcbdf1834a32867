"""Fewer operations for the same numbers."""

from typing import Any

from jaxrnn.engines.program._operations import Operation
from jaxrnn.engines.program._views import View, row_major

_SLOPES = frozenset(("tanh_slope", "logistic_slope"))
_AFTER_ADD = {"tanh": "add_tanh", "logistic": "add_logistic"}


def in_place(operations: list[Operation], values: list[Any], placed: set[int]) -> list[Operation]:
    """Without copies of whole values into parts of others: they are written there at once.

    Args:
      operations: in order.
      values: what they read and write.
      placed: values whose place is fixed.
    """
    sizes = {}
    for operation in operations:
        target = operation.output.value
        sizes[target] = sizes.get(target, 0) + operation.output.size
    moved = {}
    for operation in operations:
        out = operation.output
        if operation.name != "copy" or sizes[out.value] != values[out.value].size:
            continue
        (view,) = operation.inputs
        source = view.value
        can_move = (
            source in sizes
            and source not in placed
            and source not in moved
            and source != out.value
            and sizes[source] == values[source].size
            and view.is_whole(values[source].size)
            and out.is_contiguous()
        )
        if can_move:
            moved[source] = (out.value, out.offset)

    def at(view):
        value, offset = view.value, view.offset
        while value in moved:
            value, more = moved[value]
            offset += more
        return View(value, offset, view.shape, view.strides)

    out = []
    for operation in operations:
        output, inputs = at(operation.output), tuple(map(at, operation.inputs))
        if operation.name != "copy" or not _is_same(output, inputs[0]):
            out.append(operation._replace(output=output, inputs=inputs))
    return out


def _is_same(a, b):
    return (a.value, a.offset) == (b.value, b.offset) and a.is_contiguous() and b.is_contiguous()


def fused(operations: list[Operation], values: list[Any], placed: set[int]) -> list[Operation]:
    """With common groups of operations in one.

    Args:
      operations: in order.
      values: what they read and write.
      placed: values that are read outside.
    """
    return _Fusion(operations, values, placed).run()


class _Fusion:
    def __init__(self, operations, values, placed):
        self.operations, self.values = operations, values
        self.reads, self.writers = {}, {}
        for operation in operations:
            for view in operation.inputs:
                self.reads[view.value] = self.reads.get(view.value, 0) + 1
            value = operation.output.value
            self.writers[value] = None if value in self.writers else operation
        self.hidden = {v for v, n in self.reads.items() if n == 1 and v not in placed}
        self.gone = set()

    def run(self):
        for change in self.with_slope, self.with_sum, self.with_product:
            changed = []
            for operation in self.operations:
                if operation.output.value not in self.gone:
                    changed.append(change(operation))
            self.operations = [o for o in changed if o.output.value not in self.gone]
        return self.operations

    def made(self, view, name, *, is_last=True):
        """The operation `name` that makes just what `view` shows; None if another one does.

        Args:
          view: an input.
          name: of the operation.
          is_last: whether nothing else may read it.
        """
        operation = self.writers.get(view.value)
        if (
            operation is None
            or operation.name != name
            or (is_last and view.value not in self.hidden)
        ):
            return None
        size = self.values[view.value].size
        is_whole = view.is_whole(size) and operation.output.is_whole(size)
        return operation if is_whole and operation.output.value not in self.gone else None

    def become(self, operation, *absorbed, **changes):
        self.gone.update(o.output.value for o in absorbed)
        changed = operation._replace(**changes)
        if self.writers.get(operation.output.value) is operation:
            self.writers[operation.output.value] = changed
        return changed

    def pairs(self, operation):
        a, b = operation.inputs
        return (a, b), (b, a)

    def is_one(self, view):
        return self.values[view.value].number == 1.0

    def with_slope(self, operation):
        """The derivatives of tanh and sigmoid, from their values."""
        if operation.name != "mul":
            return operation
        for slope, d in self.pairs(operation):
            product = self.made(slope, "mul")
            if product is None or slope.shape != operation.output.shape:
                continue
            for x, y in self.pairs(product):
                rest = self.made(y, "sub")
                if rest is None or not self.is_one(rest.inputs[0]):
                    continue
                value = rest.inputs[1]
                if value == x:
                    return self.become(
                        operation, product, rest, name="logistic_slope", inputs=(value, d)
                    )
                more = self.made(x, "add")
                if more and value in more.inputs and any(map(self.is_one, more.inputs)):
                    absorbed = product, rest, more
                    return self.become(operation, *absorbed, name="tanh_slope", inputs=(value, d))
        return operation

    def with_sum(self, operation):
        if operation.name in _AFTER_ADD:
            (view,) = operation.inputs
            total = self.made(view, "add")
            if total and total.output.shape == operation.output.shape:
                name = _AFTER_ADD[operation.name]
                return self.become(operation, total, name=name, inputs=total.inputs)
        if operation.name == "reduce_sum":
            return self.with_factors(operation)
        if operation.name == "accumulate":
            (view,) = operation.inputs
            product = self.made(view, "mul")
            if product and product.output.shape == operation.output.shape:
                inputs = product.inputs
                return self.become(operation, product, name="accumulate_products", inputs=inputs)
        if operation.name == "sub":
            return self.with_difference(operation)
        if operation.name != "add":
            return operation
        for view, other in self.pairs(operation):
            negative = self.made(view, "neg")
            if negative and negative.output.shape == operation.output.shape:
                inputs = (other, *negative.inputs)
                changed = self.become(operation, negative, name="sub", inputs=inputs)
                return self.with_difference(changed)
        for view, other in self.pairs(operation):
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
        for view, other in self.pairs(operation):
            product = self.made(view, "mul")
            if product and product.output.shape == operation.output.shape:
                inputs = (*product.inputs, other)
                return self.become(operation, product, name="multiply_add", inputs=inputs)
        return operation

    def with_difference(self, operation):
        a, b = operation.inputs
        first, second = self.made(a, "mul"), self.made(b, "mul")
        if first and first.output.shape == operation.output.shape:
            inputs = (*first.inputs, b)
            return self.become(operation, first, name="multiply_subtract", inputs=inputs)
        if second and second.output.shape == operation.output.shape:
            inputs = (a, *second.inputs)
            return self.become(operation, second, name="subtract_product", inputs=inputs)
        return operation

    def with_product(self, operation):
        """What is multiplied by 1 - x, or slopes of a product."""
        if operation.name == "mul":
            for view, other in self.pairs(operation):
                rest = self.made(view, "sub")
                is_rest = rest and self.is_one(rest.inputs[0])
                if is_rest and rest.output.shape == operation.output.shape:
                    inputs = (rest.inputs[1], other)
                    return self.become(operation, rest, name="one_minus_times", inputs=inputs)
        if operation.name in _SLOPES:
            value, d = operation.inputs
            product = self.made(d, "mul")
            if product and product.output.shape == operation.output.shape:
                name, inputs = f"{operation.name}_times", (value, *product.inputs)
                return self.become(operation, product, name=name, inputs=inputs)
        return operation

    def with_factors(self, operation):
        """A sum of products, of two arrays whose numbers to add follow each other."""
        (view,) = operation.inputs
        product, kept = self.made(view, "mul"), len(operation.output.shape)
        if product is None or product.output.shape != view.shape:
            return operation
        inner = row_major(view.shape[kept:])
        if any(factor.strides[kept:] != inner for factor in product.inputs):
            return operation
        return self.become(operation, product, name="reduce_products", inputs=product.inputs)
