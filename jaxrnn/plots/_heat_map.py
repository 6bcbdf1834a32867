"""A table of values as colors, shared by attributions and attention."""

from collections.abc import Sequence

import numpy as np

from jaxrnn.plots._axes import COLORS, Axes, in_whole_steps


def draw_table(
    ax: Axes,
    table: np.ndarray,
    limits: tuple[float, float],
    label: str,
    rows: Sequence[str],
    columns: Sequence[str],
) -> None:
    """Draws a table with a color bar, and with labels on the axes that have them."""
    low, high = limits
    image = ax.imshow(table, COLORS, vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label=label)
    in_whole_steps(ax.xaxis)
    in_whole_steps(ax.yaxis)
    if columns:
        is_long = max(map(len, columns)) > 1
        ax.set_xticks(range(len(columns)), columns, rotation=90 if is_long else 0)
    if rows:
        ax.set_yticks(range(len(rows)), rows)
