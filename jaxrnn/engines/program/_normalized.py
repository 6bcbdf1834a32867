"""What is normalized as part of the operation that reads it."""

from typing import Any

from jaxrnn.engines.program._matching import Matching, pairs
from jaxrnn.engines.program._operations import Operation

_READERS = {"mul": "normalize_times", "multiply_add": "normalize_multiply_add"}


def with_readers(
    operations: list[Operation], values: list[Any], placed: set[int]
) -> list[Operation]:
    """The operations, where those with a gain, and its derivative, normalize rows themselves.

    Args:
      operations: in order.
      values: what they read and write.
      placed: values that are read outside.
    """
    found = _Readers(operations, values, placed)
    return found.change(found.with_gain, found.with_sum)


class _Readers(Matching):
    def with_gain(self, operation):
        if operation.name not in _READERS:
            return operation
        factors, rest = operation.inputs[:2], operation.inputs[2:]
        for y, gain in (factors, factors[::-1]):
            normalized = self.made_alike(operation, y, "normalize")
            views = operation.output, gain, *rest
            if normalized and all(len(v.shape) == 1 and v.is_contiguous() for v in views):
                inputs = (*normalized.inputs, gain, *rest)
                name = _READERS[operation.name]
                return self.become(operation, normalized, name=name, inputs=inputs)
        return operation

    def with_sum(self, operation):
        """The cotangents of what is normalized and of its gain."""
        if operation.name != "normalize_slope_times":
            return operation
        x, both, *factors = operation.inputs
        for total in self.operations:
            if total.name != "accumulate_products" or total.output.value in self.gone:
                continue
            for y, d in pairs(total):
                normalized = self.made(y, "normalize")
                if normalized and normalized.inputs == (x, both) and d in factors:
                    gain = factors[1 - factors.index(d)]
                    inputs = (x, both, gain, d, total.output)
                    absorbed = normalized, total
                    return self.become(
                        operation, *absorbed, name="normalize_slope_sum", inputs=inputs
                    )
        return operation
