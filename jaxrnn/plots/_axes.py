"""Shared by all pictures: the Axes to draw on, their looks, and checks of what is drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxrnn._core.checks import check_array, describe

try:
    from matplotlib import rcParams
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
except ImportError as error:
    raise ImportError(
        'Pictures need the matplotlib library: `pip install "jaxrnn[plots]"`.'
    ) from error

DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "^", "s", "x", "D", "+", "v")
COLORS = "cividis"  # its lightness grows all the way, so that it says the same in gray


def on_axes(ax: Axes | None, width: float = 6.4, height: float = 3.6) -> Axes:
    """`ax`, or the Axes of a new Figure, which belongs to no window and needs no closing.

    Raises:
      TypeError: `ax` is not an Axes.
    """
    if ax is None:
        return Figure((width, height), layout="constrained").subplots()
    if not isinstance(ax, Axes):
        raise TypeError(f"`ax` must be a matplotlib Axes or None, got {describe(ax)}.")
    return ax


def finish(ax: Axes, *, legend: bool = False, is_beside: bool = False) -> Figure:
    """Takes away what says nothing, adds a legend if asked for, and returns the Figure.

    A legend beside the Axes is for pictures that are full.
    """
    ax.spines[["top", "right"]].set_visible(False)
    if legend:
        place = {"loc": "upper left", "bbox_to_anchor": (1, 1)} if is_beside else {}
        ax.legend(frameon=False, fontsize="small", **place)
    return ax.figure


def line_style(i: int) -> dict[str, Any]:
    """The color and the dashes of line i: lines of one color in print still differ."""
    style = {"color": f"C{i % 10}", "linestyle": DASHES[i % len(DASHES)]}
    if i >= len(DASHES):
        style |= {"marker": MARKERS[i % len(MARKERS)], "markevery": 0.1, "markersize": 4}
    return style


def in_whole_steps(axis: Axis) -> None:
    """Lets the axis have labels at whole numbers alone: there is no step 2.5."""
    axis.get_major_locator().set_params(integer=True)


def ink() -> str:
    """The color of text in the current style, for reference lines."""
    return rcParams["text.color"]


def values_of(name: str, x: Any, num_axes: int | Sequence[int]) -> np.ndarray:
    """`x` as float64.

    Raises:
      ValueError, TypeError: it is not an array of real numbers with one of these numbers of axes,
        it is empty, or it is traced.
    """
    if isinstance(x, (list, tuple)) and all(np.isscalar(each) for each in x):
        x = np.asarray(x)
    check_array(name, x)
    if isinstance(x, jax.core.Tracer):
        raise TypeError(f"`{name}` is traced: draw outside of `jax.jit`, from its results.")
    allowed = (num_axes,) if isinstance(num_axes, int) else tuple(num_axes)
    if x.ndim not in allowed or 0 in x.shape:
        wanted = " or ".join(map(str, allowed))
        raise ValueError(f"`{name}` must have {wanted} axes and no empty one, got {describe(x)}.")
    x = np.asarray(x)
    if np.iscomplexobj(x):
        raise TypeError(f"`{name}` must be real, got {describe(x)}. Draw its absolute value.")
    return x.astype(np.float64)


def check_type(name: str, x: Any, expected: type) -> None:
    """Raises unless `x` is what a function of `jaxrnn.diagnostics` returns."""
    if not isinstance(x, expected):
        raise TypeError(
            f"`{name}` must be `jaxrnn.diagnostics.{expected.__name__}`, got {describe(x)}."
        )


def by_name(name: str, x: Any) -> dict[str, Any]:
    """`x` if it is a dict by name, else a dict with `x` under no name.

    Raises:
      ValueError, TypeError: the dict is empty, or its keys are not str.
    """
    if not isinstance(x, Mapping):
        return {"": x}
    if not x:
        raise ValueError(f"`{name}` is an empty dict: there is nothing to draw.")
    if not all(isinstance(key, str) for key in x):
        raise TypeError(f"`{name}` must have names (str) for keys, got {list(x)!r}.")
    return dict(x)


def check_labels(name: str, labels: Sequence[Any] | None, count: int, axis: str) -> list[str]:
    """The labels as str, or none.

    Raises:
      ValueError: there are not `count` of them, one for each entry of the axis.
    """
    if labels is None:
        return []
    if len(labels) != count:
        raise ValueError(
            f"`{name}` must have {count} labels, one for each {axis}, got {len(labels)}."
        )
    return [str(label) for label in labels]
