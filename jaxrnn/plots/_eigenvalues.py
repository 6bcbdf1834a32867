"""Eigenvalues of the Jacobian at fixed points, in the complex plane."""

import numpy as np

from jaxrnn.diagnostics import FixedPoints
from jaxrnn.plots._axes import MARKERS, Axes, Figure, check_type, finish, ink, on_axes

MOST = len(MARKERS)


def eigenvalues(fixed_points: FixedPoints, *, ax: Axes | None = None) -> Figure:
    """Draws the eigenvalues of the Jacobian at each fixed point, with the unit circle.

    Within the circle, a direction decays; outside, it grows. Close to 1, it hardly changes: a
    memory. Away from the real axis, it turns.

        plots.eigenvalues(diagnostics.fixed_points(cell, params, starts, x))

    Args:
      fixed_points: from `jaxrnn.diagnostics.fixed_points`.
      ax: the Axes to draw on; None means those of a new Figure.

    Returns:
      The Figure, with the first 7 points, the slowest ones.

    Raises:
      TypeError: `fixed_points` is of another type.
      ValueError: it has no point.

    Examples:
      >>> cell = jaxrnn.gru(2)
      >>> params = cell.init(jax.random.key(0), jnp.zeros(1))
      >>> starts = jaxrnn.HiddenCarry(jnp.zeros((1, 2)))
      >>> found = jaxrnn.diagnostics.fixed_points(cell, params, starts, jnp.zeros(1))
      >>> figure = jaxrnn.plots.eigenvalues(found)
    """
    check_type("fixed_points", fixed_points, FixedPoints)
    if len(fixed_points.eigenvalues) == 0:
        raise ValueError("`fixed_points` has no point: raise `slow`, or start elsewhere.")
    ax = on_axes(ax, 5.6, 4.2)
    angles = np.linspace(0, 2 * np.pi, 200)
    ax.plot(np.cos(angles), np.sin(angles), color=ink(), linewidth=0.6)
    for i, values in enumerate(fixed_points.eigenvalues[:MOST]):
        kind = "stable" if fixed_points.is_stable[i] else "unstable"
        style = {"marker": MARKERS[i], "color": f"C{i}", "markersize": 4 + 1.5 * i}
        style |= {"linestyle": "none", "markerfacecolor": "none"}  # points may share eigenvalues
        ax.plot(values.real, values.imag, label=f"point {i}, {kind}", **style)
    ax.set_aspect("equal", adjustable="datalim")
    ax.set(xlabel="real part", ylabel="imaginary part")
    return finish(ax, legend=True, is_beside=True)
