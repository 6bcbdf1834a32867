"""Where a decoder looks."""

from collections.abc import Sequence
from typing import Any

from jaxrnn.plots._axes import Axes, Figure, check_labels, on_axes, values_of
from jaxrnn.plots._heat_map import draw_table


def attention_map(
    weights: Any,
    *,
    sources: Sequence[Any] | None = None,
    targets: Sequence[Any] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws attention weights: one row for each step that writes, one column for each that is read.

        plots.attention_map(weights, sources=list("6 may 2001"), targets=list("2001-05-06"))

    Args:
      weights: (U, S) of one sequence, from 0 to 1.
      sources: S labels, what was read.
      targets: U labels, what was written.
      ax: the Axes to draw on; None means those of a new Figure.

    Returns:
      The Figure, with a color bar from 0 to 1.

    Raises:
      ValueError, TypeError: `weights` has other axes or is not within [0, 1], or there are not as
        many labels as entries.

    Examples:
      >>> weights = np.eye(3)[[0, 2]]  # (U, S)
      >>> figure = jaxrnn.plots.attention_map(weights, sources=list("abc"), targets=["x", "y"])
      >>> figure.savefig("attention.png")
    """
    table = values_of("weights", weights, 2)
    if not (table.min() >= -1e-6 and table.max() <= 1 + 1e-6):
        raise ValueError(
            f"`weights` must be within [0, 1], got {table.min():g} to {table.max():g}. Of scores, "
            "take `jax.nn.softmax` over the last axis first."
        )
    rows = check_labels("targets", targets, table.shape[0], "row")
    columns = check_labels("sources", sources, table.shape[1], "column")
    ax = on_axes(ax, 6.4, 4.0)
    draw_table(ax, table, (0.0, 1.0), "attention weight", rows, columns)
    ax.set(xlabel="read", ylabel="written")
    return ax.figure
