"""The Lyapunov spectrum, with its errors."""

from collections.abc import Mapping

import numpy as np

from jaxrnn.diagnostics import LyapunovExponents
from jaxrnn.plots._axes import (
    MARKERS,
    Axes,
    Figure,
    by_name,
    check_type,
    finish,
    in_whole_steps,
    ink,
    on_axes,
    values_of,
)


def lyapunov_exponents(
    exponents: LyapunovExponents | Mapping[str, LyapunovExponents], *, ax: Axes | None = None
) -> Figure:
    """Draws Lyapunov exponents in order, with bars of one standard error.

        plots.lyapunov_exponents({"gain 0.8": calm, "gain 2.5": chaotic})

    Args:
      exponents: from `jaxrnn.diagnostics.lyapunov_exponents`, or several by name.
      ax: the Axes to draw on; None means those of a new Figure.

    Returns:
      The Figure. Exponents are natural logarithms per step; a thin line marks 0, above which the
      network is chaotic. Exponents of -inf are left out.

    Raises:
      ValueError, TypeError: `exponents` is of another type, or has none.

    Examples:
      >>> exponents, errors = jnp.array([0.1, -0.3]), jnp.array([0.02, 0.02])
      >>> found = jaxrnn.diagnostics.LyapunovExponents(exponents, errors)
      >>> figure = jaxrnn.plots.lyapunov_exponents({"gain 2.5": found})
    """
    shown = by_name("exponents", exponents)
    for found in shown.values():
        check_type("exponents", found, LyapunovExponents)
    ax = on_axes(ax)
    for i, (label, found) in enumerate(shown.items()):
        rates = values_of("exponents.exponents", found.exponents, 1)
        errors = values_of("exponents.errors", found.errors, 1)
        rates = np.where(np.isfinite(rates), rates, np.nan)
        places = np.arange(1, len(rates) + 1)
        style = {"marker": MARKERS[i % len(MARKERS)], "linestyle": "none", "markersize": 4}
        ax.errorbar(places, rates, errors, label=label, color=f"C{i % 10}", capsize=3, **style)
    ax.axhline(0, color=ink(), linewidth=0.6)
    in_whole_steps(ax.xaxis)
    ax.set(xlabel="index", ylabel="Lyapunov exponent, 1/step")
    return finish(ax, legend="" not in shown)
