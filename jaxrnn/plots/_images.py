"""Pictures in rows and columns, such as digits, or the frames of films."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb

from jaxrnn.plots._axes import Axes, Figure, check_labels, ink, on_axes, values_of


def images(
    values: Any,
    *,
    rows: Sequence[Any] | None = None,
    titles: Sequence[Sequence[Any]] | None = None,
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws gray pictures in rows and columns: what was read, and what a network made of it.

        plots.images(films, rows=["read", "predicted"])  # (2, T, height, width)

    Args:
      values: (R, C, height, width), of which the lowest values have the color of the background.
        A picture of NaN is left out.
      rows: R labels.
      titles: R lists of C titles, one above each picture.
      limits: the values of the background and of the ink; None means the lowest and the highest.
      ax: the Axes to draw on; None means those of a new Figure.

    Returns:
      The Figure.

    Raises:
      ValueError, TypeError: `values` has other axes, or there are not as many labels as pictures.

    Examples:
      >>> import numpy as np
      >>> from jaxrnn import plots
      >>> figure = plots.images(np.eye(6).reshape(1, 2, 3, 6), rows=["halves"])
      >>> figure.axes[0].get_yticklabels()[0].get_text()
      'halves'
    """
    cells = values_of("values", values, 4)
    count, columns, height, width = cells.shape
    labels = check_labels("rows", rows, count, "row")
    titles = [] if titles is None else list(titles)
    if titles and len(titles) != count:
        raise ValueError(f"`titles` must have {count} lists, one for each row, got {len(titles)}.")
    names = [check_labels("titles", row, columns, "picture of a row") for row in titles]
    gap, top = max(1, round(0.1 * width)), max(1, round((0.5 if names else 0.1) * height))
    padded = np.pad(cells, ((0, 0), (0, 0), (top, 0), (0, gap)), constant_values=np.nan)
    sheet = padded.swapaxes(1, 2).reshape(count * (height + top), columns * (width + gap))
    sheet = sheet[:, :-gap] if names else sheet[top:, :-gap]
    ax = on_axes(ax, 0.8 * columns + 0.6, 0.8 * count * (height + top) / (width + gap) + 0.2)
    low, high = limits or (np.nanmin(cells), np.nanmax(cells))
    is_dark = sum(to_rgb(ink())) > 1.5  # the style: its text is light
    ax.imshow(sheet, "gray" if is_dark else "gray_r", vmin=low, vmax=high, interpolation="nearest")
    ax.spines[:].set_visible(False)
    first = top if names else 0
    ax.set_xticks([])
    ax.set_yticks(first + (height + top) * np.arange(count) + height / 2 - 0.5 if labels else [])
    ax.set_yticklabels(labels)
    ax.tick_params(length=0)
    for i, row in enumerate(names):
        for j, name in enumerate(row):
            place = (
                j * (width + gap) + width / 2 - 0.5,
                first + i * (height + top) - 0.5 - 0.15 * top,
            )
            ax.text(*place, name, ha="center", va="bottom", fontsize="small")
    return ax.figure
