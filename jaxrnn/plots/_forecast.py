"""A series, and a forecast with an interval."""

from typing import Any

import numpy as np

from jaxrnn.diagnostics._states import check_share
from jaxrnn.plots._axes import Axes, Figure, finish, in_whole_steps, ink, on_axes, values_of


def forecast(
    history: Any,
    center: Any,
    *,
    low: Any = None,
    high: Any = None,
    level: float | None = None,
    truth: Any = None,
    xlabel: str = "step",
    ylabel: str = "value",
    ax: Axes | None = None,
) -> Figure:
    """Draws the end of a series and its forecast, with an interval and what came true.

        q = jnp.quantile(paths, jnp.array([0.1, 0.5, 0.9]), axis=1)
        plots.forecast(series[-50:], q[1], low=q[0], high=q[2], level=0.8, ylabel="°C")

    Args:
      history: (T,), what was known.
      center: (U,), the forecast: a mean or a median.
      low: (U,), the lower end of an interval; with `high` and `level`, or none of them.
      high: (U,), its upper end.
      level: the probability of the interval, in (0, 1], which belongs to `low` and `high`.
      truth: (U,), what came true.
      xlabel: what steps are.
      ylabel: what values are, with their unit.
      ax: the Axes to draw on; None means those of a new Figure.

    Returns:
      The Figure. The forecast starts at step 0, after the last step of the history.

    Raises:
      ValueError, TypeError: an array is not of these axes, or an interval lacks one of its ends or
        its level.

    Examples:
      >>> history, center = np.sin(np.arange(30.0)), np.zeros(10)
      >>> interval = dict(low=center - 1, high=center + 1, level=0.9)
      >>> figure = jaxrnn.plots.forecast(history, center, **interval, ylabel="°C")
      >>> figure.axes[0].get_ylabel()
      '°C'
    """
    known, center = values_of("history", history, 1), values_of("center", center, 1)
    missing = [n for n, x in (("low", low), ("high", high), ("level", level)) if x is None]
    if missing and len(missing) < 3:
        raise ValueError(f"`{missing[0]}` is missing: an interval has `low`, `high` and `level`.")
    steps = np.arange(len(center))
    ax = on_axes(ax)
    ax.plot(np.arange(-len(known), 0), known, color=ink(), linewidth=1, label="known")
    ax.plot(steps, center, "--", color="C0", label="forecast")
    if not missing:
        check_share("level", level, 1.0)
        low, high = _like("low", low, center), _like("high", high, center)
        style = {"color": "C0", "alpha": 0.25, "linewidth": 0, "label": f"{level:.0%} interval"}
        ax.fill_between(steps, low, high, **style)
    if truth is not None:
        truth = _like("truth", truth, center)
        ax.plot(steps, truth, color=ink(), linewidth=1, marker=".", markersize=4, label="truth")
    in_whole_steps(ax.xaxis)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return finish(ax, legend=True)


def _like(name, x, center):
    x = values_of(name, x, 1)
    if x.shape != center.shape:
        raise ValueError(f"`{name}` must be {center.shape} like `center`, got {x.shape}.")
    return x
