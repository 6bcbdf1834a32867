"""A text on the colors of a value for each of its pieces."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from jaxrnn._core.checks import check_size
from jaxrnn.plots._axes import COLORS, Axes, Figure, on_axes, values_of

LETTER, LINE = 0.075, 0.24  # inches on a new Figure


def colored_text(
    pieces: Sequence[str],
    values: Any,
    *,
    limits: tuple[float, float] | None = None,
    label: str = "activation",
    width: int = 72,
    ax: Axes | None = None,
) -> Figure:
    """Draws a text, each piece on the color of its value: a unit's activation, or an attribution.

        plots.colored_text(list(text), ys[:, 17], limits=(-1, 1))  # unit 17 over letters
        plots.colored_text(words, attributions.sum(-1), label="change of the logit")

    Args:
      pieces: T letters or words. Words are drawn with spaces between them; a line feed among
        letters ends the line.
      values: (T,), one for each piece; NaN for a piece that has no color, such as an end of a line.
      limits: the values at the ends of the colors; None means from -m to m, with m the largest
        absolute value.
      label: what the values are, under the color bar.
      width: letters in a line, at most.
      ax: the Axes to draw on; None means those of a new Figure, as high as the text.

    Returns:
      The Figure. Dark is low and light is high.

    Raises:
      ValueError, TypeError: there are not as many values as pieces, or `limits` are not in order.

    Examples:
      >>> activations = np.array([0.0, 0.9, -0.5])  # (T,)
      >>> figure = jaxrnn.plots.colored_text(["a", "good", "film"], activations, limits=(-1, 1))
      >>> len(figure.axes[0].texts), len(figure.axes)  # letters; the text and its color bar
      (9, 2)
    """
    numbers = values_of("values", values, 1)
    if len(pieces) != len(numbers):
        raise ValueError(
            f"`values` must have one value for each of {len(pieces)} pieces, got {len(numbers)}."
        )
    check_size("width", width)
    if limits is None:
        most = float(np.nanmax(np.abs(numbers))) or 1.0
        limits = (-most, most)
    if not limits[0] < limits[1]:
        raise ValueError(f"`limits` must be (low, high) with low < high, got {limits!r}.")
    places, num_lines, num_columns = _laid_out(pieces, width)
    ax = on_axes(ax, max(LETTER * num_columns + 0.4, 3), LINE * num_lines + 0.8)
    size = _fill(ax, num_lines, num_columns)
    ax.set_axis_off()
    scale = ScalarMappable(Normalize(*limits), colormaps[COLORS])
    for piece, number, (line, column) in zip(pieces, numbers, places, strict=True):
        shown = piece.replace("\n", "⏎")
        color = scale.to_rgba(number) if np.isfinite(number) else None
        if color is None:
            shown = piece.strip("\n")
            _write(ax, column + len(shown) / 2, line + 0.5, shown, color, size)
            continue
        ax.fill_between([column, column + len(shown)], line + 0.08, line + 0.92, color=color)
        for i, letter in enumerate(shown):
            _write(ax, column + i + 0.5, line + 0.5, letter, color, size)
    ax.figure.colorbar(scale, ax=ax, label=label, location="bottom", shrink=0.5, aspect=40)
    return ax.figure


def _fill(ax, num_lines, num_columns):
    """Sets the limits, so that letters are no larger than on a Figure of their own; their size."""
    place, size = ax.get_position(), ax.figure.bbox.size / ax.figure.dpi
    width, height = place.width * size[0], place.height * size[1]
    ax.set_xlim(0, max(num_columns, width / LETTER))
    ax.set_ylim(max(num_lines, height / LINE), 0)
    return min(9, 72 * width / num_columns / 0.62, 72 * height / num_lines / 1.2)


def _write(ax, x, y, letter, color, size):
    ink = {} if color is None else {"color": _on(color)}
    style = {"ha": "center", "va": "center", "family": "monospace", "fontsize": size}
    ax.text(x, y, letter, **ink, **style)


def _on(color):
    return "black" if np.dot(color[:3], (0.299, 0.587, 0.114)) > 0.45 else "white"


def _laid_out(pieces, width):
    """The line and column of each piece, and the numbers of lines and columns."""
    gap = int(any(len(piece) > 1 for piece in pieces))
    line = column = 0
    places = []
    for piece in pieces:
        if column and column + len(piece) > width and piece != "\n":
            line, column = line + 1, 0
        places.append((line, column))
        column += len(piece) + gap
        if piece == "\n":
            line, column = line + 1, 0
    ends = [column + len(piece) for (_, column), piece in zip(places, pieces, strict=True)]
    return places, places[-1][0] + 1, max(ends)
