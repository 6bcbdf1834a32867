"""How often each class is taken for each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm

from jaxrnn.plots._axes import COLORS, Axes, Figure, check_labels, on_axes, values_of


def confusion(
    labels: Any,
    predictions: Any,
    *,
    names: Sequence[Any],
    ax: Axes | None = None,
) -> Figure:
    """Draws how often each class was taken for each, as numbers on colors.

        plots.confusion(digits, logits.argmax(-1), names=range(10))

    Args:
      labels: (N,), what it was, from 0 to K - 1.
      predictions: (N,), what it was taken for.
      names: of the K classes.
      ax: the Axes to draw on; None means those of a new Figure.

    Returns:
      The Figure: a row for each class, a column for each that was predicted. Colors grow with the
      square root of the count, so that few mistakes are seen beside many hits.

    Raises:
      ValueError, TypeError: the arrays are not (N,), or hold what is not a class.

    Examples:
      >>> from jaxrnn import plots
      >>> figure = plots.confusion([0, 1, 1], [0, 1, 0], names=["cat", "dog"])
      >>> [text.get_text() for text in figure.axes[0].texts]
      ['1', '1', '1']
    """
    pairs = [values_of("labels", labels, 1), values_of("predictions", predictions, 1)]
    names = check_labels("names", names, len(names), "class")
    for name, found in zip(("labels", "predictions"), pairs, strict=True):
        if found.shape != pairs[0].shape or not np.isin(found, range(len(names))).all():
            raise ValueError(
                f"`{name}` must be {pairs[0].shape} numbers of the {len(names)} classes, from 0, "
                f"got {found.shape} from {found.min():g} to {found.max():g}."
            )
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, tuple(x.astype(int) for x in pairs), 1)
    ax = on_axes(ax, 4.8, 4.4)
    image = ax.imshow(counts, COLORS, norm=PowerNorm(0.5, 0, max(counts.max(), 1)))
    for (row, column), count in np.ndenumerate(counts):
        if count:
            light = np.dot(image.to_rgba(count)[:3], (0.299, 0.587, 0.114)) > 0.45
            color = "black" if light else "white"
            ax.text(column, row, f"{count}", ha="center", va="center", color=color, fontsize=8)
    ax.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 2 else 0)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="predicted", ylabel="label")
    return ax.figure
