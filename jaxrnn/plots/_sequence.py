"""The features of one sequence, step by step."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxrnn.plots._axes import (
    COLORS,
    Axes,
    Figure,
    check_labels,
    in_whole_steps,
    on_axes,
    values_of,
)


def sequence(
    xs: Any,
    *,
    features: Sequence[Any] | None = None,
    limits: tuple[float, float] | None = None,
    label: str = "value",
    xlabel: str = "step",
    ylabel: str = "feature",
    ax: Axes | None = None,
) -> Figure:
    """Draws the features of one sequence as a heat map: a spectrogram, states, probabilities.

        plots.sequence(frames, xlabel="frame (20 ms)", ylabel="mel band", label="log energy")
        plots.sequence(jax.nn.softmax(logits), features=names, limits=(0, 1), label="probability")

    Args:
      xs: (T, F). NaN, such as in place of padding, is drawn as hatched background.
      features: F labels.
      limits: the values at the ends of the colors; None means the lowest and the highest.
      label: what the values are, with their unit if they have one.
      xlabel: what steps are.
      ylabel: what features are.
      ax: the Axes to draw on; None means those of a new Figure.

    Returns:
      The Figure, with a color bar. Feature 0 is at the bottom.

    Raises:
      ValueError, TypeError: `xs` has other axes, there are not as many labels as features, or
        `limits` are not in order.

    Examples:
      >>> import numpy as np
      >>> from jaxrnn import plots
      >>> figure = plots.sequence(np.eye(3), features=["low", "middle", "high"])
      >>> [axes.get_ylabel() for axes in figure.axes]
      ['feature', 'value']
    """
    table = values_of("xs", xs, 2)
    rows = check_labels("features", features, table.shape[1], "feature")
    low, high = (np.nanmin(table), np.nanmax(table)) if limits is None else limits
    if not low <= high:
        raise ValueError(f"`limits` must be (low, high) with low < high, got {limits!r}.")
    ax = on_axes(ax, 7.2, 3.2)
    image = ax.imshow(
        table.T, COLORS, vmin=low, vmax=high, aspect="auto", interpolation="nearest", origin="lower"
    )
    if np.isnan(table).any():
        ax.patch.set(hatch="///", edgecolor="0.5")
    ax.figure.colorbar(image, ax=ax, label=label)
    in_whole_steps(ax.xaxis)
    in_whole_steps(ax.yaxis)
    if rows:
        ax.set_yticks(range(len(rows)), rows, fontsize="small")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return ax.figure
