"""Where the numbers of an operand are: views of the values that a step computes for one row."""

import math
from typing import NamedTuple


class NotCovered(Exception):
    """What keeps a cell from being a program, as a clause."""


class View(NamedTuple):
    """An array laid over the numbers of a value, as `numpy.ndarray.strides` does, in numbers."""

    value: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many numbers it shows."""
        return math.prod(self.shape)

    def is_whole(self, size: int) -> bool:
        """Whether it shows all `size` numbers of its value in order."""
        return self.offset == 0 and self.size == size and self.is_contiguous()

    def is_contiguous(self) -> bool:
        """Whether its numbers follow each other."""
        return all(
            n == 1 or s == t
            for n, s, t in zip(self.shape, self.strides, row_major(self.shape), strict=True)
        )


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of numbers in order."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def whole(value: int, shape: tuple[int, ...]) -> View:
    """The view of all numbers of a value."""
    return View(value, 0, shape, row_major(shape))


def sliced(view: View, starts, limits, steps=None) -> View:
    """As `jax.lax.slice`."""
    steps = steps or (1,) * len(view.shape)
    offset = view.offset + sum(i * s for i, s in zip(starts, view.strides, strict=True))
    shape = tuple(-(-(b - a) // k) for a, b, k in zip(starts, limits, steps, strict=True))
    strides = tuple(s * k for s, k in zip(view.strides, steps, strict=True))
    return View(view.value, offset, shape, strides)


def broadcast(view: View, shape: tuple[int, ...], dimensions: tuple[int, ...]) -> View:
    """As `jax.lax.broadcast_in_dim`."""
    strides = [0] * len(shape)
    for n, s, at in zip(view.shape, view.strides, dimensions, strict=True):
        strides[at] = s if n == shape[at] else 0
    return View(view.value, view.offset, tuple(shape), tuple(strides))


def permuted(view: View, order: tuple[int, ...]) -> View:
    """As `jax.lax.transpose`."""
    shape = tuple(view.shape[i] for i in order)
    return View(view.value, view.offset, shape, tuple(view.strides[i] for i in order))


def reshaped(view: View, shape: tuple[int, ...]) -> View | None:
    """The same numbers in another shape; None where no view shows them."""
    if view.is_contiguous():
        return View(view.value, view.offset, tuple(shape), row_major(shape))
    wide = [(n, s) for n, s in zip(view.shape, view.strides, strict=True) if n != 1]
    if [n for n, _ in wide] != [n for n in shape if n != 1]:
        return None
    kept = iter(wide)
    strides = tuple(0 if n == 1 else next(kept)[1] for n in shape)
    return View(view.value, view.offset, tuple(shape), strides)


def collapsed(shape: tuple[int, ...], strides: list[tuple[int, ...]]) -> list[tuple]:
    """The axes that several arrays of one shape need: ``(size, stride of each array)``."""
    axes = []
    for n, *each in zip(shape, *strides, strict=True):
        if n == 1:
            continue
        if axes and all(s == n * t for s, t in zip(axes[-1][1], each, strict=True)):
            axes[-1] = (axes[-1][0] * n, each)
        else:
            axes.append((n, each))
    return axes
