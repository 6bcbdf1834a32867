"""What a score owes to each feature of each step."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxrnn.diagnostics import IntegratedGradients
from jaxrnn.plots._axes import Axes, Figure, check_labels, on_axes, values_of
from jaxrnn.plots._heat_map import draw_table


def attributions(
    values: Any,
    *,
    steps: Sequence[Any] | None = None,
    features: Sequence[Any] | None = None,
    label: str = "attribution",
    ax: Axes | None = None,
) -> Figure:
    """Draws what a score owes to each feature of each step, as a heat map.

        found = diagnostics.integrated_gradients(score, xs)  # xs (T, B, F)
        plots.attributions(found.attributions[:, 0])  # of one sequence

    Args:
      values: (T, F) of one sequence, from `jaxrnn.diagnostics.saliency`, `integrated_gradients` or
        `feature_occlusion`; or (T,), one for each step, from `occlusion`.
      steps: T labels, such as the words that were read.
      features: F labels.
      label: what the values are, with their unit if they have one.
      ax: the Axes to draw on; None means those of a new Figure.

    Returns:
      The Figure, with a color bar. If any value is below 0, the colors reach as far below 0 as
      above: 0 is gray, below is dark, above is light.

    Raises:
      ValueError, TypeError: `values` has other axes, or there are not as many labels as entries.

    Examples:
      >>> score = lambda xs: jnp.sum(xs[-1] ** 2)
      >>> values = jaxrnn.diagnostics.saliency(score, jnp.ones((4, 2)))  # (T, F)
      >>> figure = jaxrnn.plots.attributions(values, steps=["the", "film", "was", "good"])
      >>> len(figure.axes)  # the heat map and its color bar
      2
    """
    if isinstance(values, IntegratedGradients):
        values = values.attributions
    table = values_of("values", values, (1, 2))
    table = table.reshape(len(table), -1)
    columns = check_labels("steps", steps, table.shape[0], "step")
    rows = check_labels("features", features, table.shape[1], "feature")
    high = np.nanmax(np.abs(table))
    low = -high if np.nanmin(table) < 0 else 0.0
    ax = on_axes(ax, 7.2, 2.0 if table.shape[1] == 1 else 3.2)
    draw_table(ax, table.T, (low, high), label, rows, columns)
    ax.set(xlabel="step", ylabel="feature" if table.shape[1] > 1 else "")
    if table.shape[1] == 1 and not rows:
        ax.set_yticks([])
    return ax.figure
