"""Losses or scores over training."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxrnn._core.checks import check_bool
from jaxrnn.plots._axes import (
    Axes,
    Figure,
    by_name,
    finish,
    in_whole_steps,
    ink,
    line_style,
    on_axes,
    values_of,
)


def learning_curves(
    curves: Mapping[str, Any] | Any,
    *,
    ylabel: str,
    xlabel: str = "update",
    baselines: Mapping[str, float] | None = None,
    log: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """Draws losses or scores over training, one line for each run or data set.

        plots.learning_curves({"train": losses, "held out": (steps, scores)}, ylabel="nats/letter")

    Args:
      curves: values (N,), after 1, 2, ..., N updates; or a pair (places (N,), values (N,)); or
        several of these by name.
      ylabel: what the values are, with their unit.
      xlabel: what the places are.
      baselines: what something simpler reaches, by name, drawn as thin horizontal lines.
      log: whether the vertical axis is logarithmic. It does not start at 0 by itself: it goes from
        the smallest value to the largest.
      ax: the Axes to draw on; None means those of a new Figure.

    Returns:
      The Figure.

    Raises:
      ValueError, TypeError: a curve is not (N,), or its places do not fit its values.

    Examples:
      >>> curves = {"train": [3.0, 2.0, 1.5], "held out": ([1, 3], [3.1, 1.8])}
      >>> figure = jaxrnn.plots.learning_curves(
      ...     curves, ylabel="loss (nats)", baselines={"bigrams": 2.5}
      ... )
      >>> figure.axes[0].get_xlabel()
      'update'
    """
    check_bool("log", log)
    curves = by_name("curves", curves)
    ax, are_whole = on_axes(ax), True
    for i, (label, curve) in enumerate(curves.items()):
        places, values = _points(curve)
        style = line_style(i) | ({"marker": "."} if len(values) <= 20 else {})
        style |= {"linewidth": 0.8} if len(values) > 200 else {}  # which are noisy
        ax.plot(places, values, label=label, **style)
        are_whole &= bool((places == np.round(places)).all())
    for name, value in (baselines or {}).items():
        ax.axhline(value, color=ink(), linewidth=0.6)
        ax.annotate(
            name,
            (1, value),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            fontsize="small",
        )
    if are_whole:
        in_whole_steps(ax.xaxis)
    if log:
        ax.set_yscale("log")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return finish(ax, legend="" not in curves)


def _points(curve):
    if isinstance(curve, tuple) and len(curve) == 2 and not np.isscalar(curve[0]):
        places, values = (values_of("curves", x, 1) for x in curve)
        if len(places) != len(values):
            raise ValueError(
                f"`curves` has {len(places)} places for {len(values)} values of one curve."
            )
        return places, values
    values = values_of("curves", curve, 1)
    return np.arange(1, len(values) + 1), values
