"""Norms of gradients with respect to the carry, over time."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxrnn.diagnostics import CarryGradients
from jaxrnn.plots._axes import (
    Axes,
    Figure,
    by_name,
    check_type,
    finish,
    in_whole_steps,
    line_style,
    on_axes,
)


def gradient_norms(
    gradients: CarryGradients | Mapping[str, CarryGradients], *, ax: Axes | None = None
) -> Figure:
    """Draws the norm of the gradient at every step, one line for each leaf of the carry.

    A line that falls to the left is a gradient that vanishes on its way back; one that rises
    explodes.

        found = diagnostics.carry_gradients(cell, params, None, xs, loss)
        plots.gradient_norms(found).savefig("gradients.png")

    Args:
      gradients: from `jaxrnn.diagnostics.carry_gradients`, or several by name. A leaf whose
        gradient is 0 at all steps is left out.
      ax: the Axes to draw on; None means those of a new Figure.

    Returns:
      The Figure. The vertical axis is logarithmic. A line is the geometric mean over the batch; the
      band around it, if there is a batch, goes from the smallest norm to the largest. Norms of 0,
      below what the dtype can hold, have no place on the axis and are left out of both.

    Raises:
      ValueError, TypeError: `gradients` is of another type, or has no leaf to draw.

    Examples:
      >>> cell, xs = jaxrnn.lstm(4), jnp.ones((7, 3, 2))
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> loss = lambda ys: jnp.sum(ys[-1])
      >>> found = jaxrnn.diagnostics.carry_gradients(cell, params, None, xs, loss)
      >>> figure = jaxrnn.plots.gradient_norms({"LSTM": found})
      >>> len(figure.axes[0].lines)  # h and c
      2
    """
    lines = {}
    for name, found in by_name("gradients", gradients).items():
        check_type("gradients", found, CarryGradients)
        lines |= _lines(name, found.norms)
    if not lines:
        raise ValueError("`gradients` are 0 at all steps: the loss does not depend on the carry.")
    ax = on_axes(ax)
    for i, (label, norms) in enumerate(lines.items()):
        steps, style = np.arange(len(norms)), line_style(i)
        logs = np.ma.log(np.ma.masked_less_equal(norms, 0))
        ax.plot(steps, _exp(logs.mean(axis=1)), label=label, **style)
        if norms.shape[1] > 1:
            low, high = _exp(logs.min(axis=1)), _exp(logs.max(axis=1))
            ax.fill_between(steps, low, high, color=style["color"], alpha=0.2, linewidth=0)
    ax.set_yscale("log")
    in_whole_steps(ax.xaxis)
    ax.set(xlabel="step", ylabel="norm of the gradient")
    return finish(ax, legend=len(lines) > 1 or bool(next(iter(lines))))


def _exp(logs: np.ma.MaskedArray) -> np.ndarray:
    """The exponential, NaN where masked."""
    return np.exp(np.ma.filled(logs, np.nan))


def _lines(name: str, norms: Any) -> dict[str, np.ndarray]:
    """The norms (T, B) of each leaf by its name in the picture."""
    found = {}
    leaves = jax.tree_util.tree_leaves_with_path(norms)
    for path, leaf in leaves:
        leaf = np.asarray(leaf, np.float64)
        rows = leaf.reshape(leaf.shape[0], math.prod(leaf.shape[1:]))
        if not rows.any():
            continue
        place = jax.tree_util.keystr(path).lstrip(".")
        label = ", ".join(filter(None, (name, place if len(leaves) > 1 or not name else "")))
        found[label] = rows
    return found
