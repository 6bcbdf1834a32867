"""Singular values of the Jacobians, over time."""

import numpy as np

from jaxrnn.diagnostics import SingularValues
from jaxrnn.plots._axes import (
    Axes,
    Figure,
    check_type,
    finish,
    in_whole_steps,
    ink,
    line_style,
    on_axes,
    values_of,
)


def singular_values(values: SingularValues, *, ax: Axes | None = None) -> Figure:
    """Draws the singular values of the Jacobian of each step, from the largest to the smallest.

        found = diagnostics.singular_values(cell, params, None, xs, num=4)
        plots.singular_values(found)

    Args:
      values: from `jaxrnn.diagnostics.singular_values`.
      ax: the Axes to draw on; None means those of a new Figure.

    Returns:
      The Figure. Lines are the largest value, the median and the smallest of those computed; the
      vertical axis is logarithmic, and a thin line marks 1, where lengths are kept.

    Raises:
      TypeError: `values` is of another type.
      ValueError: it holds no step.

    Examples:
      >>> cell, xs = jaxrnn.elman(3), jnp.ones((7, 2))
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> found = jaxrnn.diagnostics.singular_values(cell, params, None, xs)
      >>> figure = jaxrnn.plots.singular_values(found)
      >>> figure.axes[0].get_yscale()
      'log'
    """
    check_type("values", values, SingularValues)
    steps = values_of("values.steps", values.steps, 2)
    ax = on_axes(ax)
    shown = {"largest": steps.max(axis=1)}
    if steps.shape[1] > 1:
        shown |= {"median": np.median(steps, axis=1), "smallest": steps.min(axis=1)}
    for i, (label, line) in enumerate(shown.items()):
        ax.plot(np.where(line > 0, line, np.nan), label=label, **line_style(i))
    ax.axhline(1, color=ink(), linewidth=0.6)
    ax.set_yscale("log")
    in_whole_steps(ax.xaxis)
    ax.set(xlabel="step", ylabel=f"singular value (of {steps.shape[1]})")
    return finish(ax, legend=len(shown) > 1)
