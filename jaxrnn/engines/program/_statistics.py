"""The rows that a reduction takes together, in the views of its operands."""

import math

from jaxrnn.engines.program._operations import Operation
from jaxrnn.engines.program._views import View, row_major


def is_count(number: float | None, total: Operation) -> bool:
    """Whether a number is how many numbers of each row `total` adds up."""
    size = math.prod(total.output.shape)
    is_over_axes = len(total.inputs[0].shape) > len(total.output.shape)
    return bool(size) and is_over_axes and number == total.inputs[0].size // size


def one_of_each(view: View, total: Operation) -> View | None:
    """One number for each row that `total` reduces; None if `view` has several."""
    kept, last = _split(total)
    if view.shape != (*kept, *last) or any(
        n != 1 and s for n, s in zip(last, view.strides[len(kept) :], strict=True)
    ):
        return None
    return View(view.value, view.offset, kept, view.strides[: len(kept)])


def ends_in_order(view: View, kept: int) -> bool:
    """Whether the numbers of each row follow each other; `kept` axes are before them."""
    last = view.shape[kept:]
    return all(
        n == 1 or s == t for n, s, t in zip(last, view.strides[kept:], row_major(last), strict=True)
    )


def of_rows(view: View, kept: int) -> View:
    """The view with all that a row has in one axis."""
    size = math.prod(view.shape[kept:])
    return View(view.value, view.offset, (*view.shape[:kept], size), (*view.strides[:kept], 1))


def is_same(a: View, b: View) -> bool:
    """Whether two views show the same numbers, all that lie between the first and the last."""
    return a[:2] == b[:2] and a.size == b.size and a.is_contiguous() and b.is_contiguous()


def _split(total):
    """The axes that a reduction keeps, and the last ones, which it takes together."""
    kept = len(total.output.shape)
    return total.inputs[0].shape[:kept], total.inputs[0].shape[kept:]
