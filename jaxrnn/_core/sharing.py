"""Random draws that are shared over some axes, such as one for a channel of a whole picture."""

import numbers
from typing import Any

Axes = tuple[int, ...]


def check_shared_axes(axes: Any) -> None:
    """Raises unless `axes` is a tuple of different axes, counted from the last one, -1."""
    is_tuple = isinstance(axes, tuple) and all(isinstance(a, numbers.Integral) for a in axes)
    if not is_tuple or any(isinstance(a, bool) for a in axes):
        raise TypeError(
            "`shared_axes` must be a tuple of integers, such as (-3, -2) for the height and the "
            f"width of pictures with channels last, got {axes!r}."
        )
    if any(a >= 0 for a in axes) or len(set(axes)) < len(axes):
        raise ValueError(
            "`shared_axes` must be different negative integers, counted from the last axis, -1, "
            f"got {axes}. For the height and the width of pictures with channels last, (-3, -2)."
        )


def shared_shape(shape: tuple[int, ...], axes: Axes) -> tuple[int, ...]:
    """The shape of a draw for an array of `shape`: 1 along the axes over which it is shared."""
    if any(-axis > len(shape) for axis in axes):
        raise ValueError(
            f"`shared_axes` must be axes of the array {tuple(shape)} for which numbers are drawn, "
            f"got {axes}. They are counted from its last axis, -1."
        )
    return tuple(1 if i - len(shape) in axes else size for i, size in enumerate(shape))
