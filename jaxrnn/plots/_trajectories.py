"""States in the plane of their first two principal components, with fixed points."""

import numpy as np

from jaxrnn._core.checks import describe
from jaxrnn.diagnostics import FixedPoints, PrincipalComponents
from jaxrnn.plots._axes import Axes, Figure, check_type, finish, ink, on_axes, values_of


def trajectories(
    components: PrincipalComponents,
    *,
    fixed_points: FixedPoints | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws trajectories of states in the plane of their first two principal components.

        found = diagnostics.principal_components(ys, num=2)
        plots.trajectories(found, fixed_points=points)

    Args:
      components: from `jaxrnn.diagnostics.principal_components`, with two components or more, of
        states (T, H) or (T, B, H).
      fixed_points: from `jaxrnn.diagnostics.fixed_points`, of a cell whose states are the leaf `h`
        of its carry: a filled circle is stable, an open one is not, and a small cross is slow.
      ax: the Axes to draw on; None means those of a new Figure.

    Returns:
      The Figure. Both axes have one scale, so that distances are right; their labels say the share
      of the variance of the states. A dot marks the first step of each trajectory.

    Raises:
      ValueError, TypeError: an argument is of another type or size.

    Examples:
      >>> states = jax.random.normal(jax.random.key(0), (20, 2, 4))  # (T, B, H)
      >>> found = jaxrnn.diagnostics.principal_components(states, num=2)
      >>> figure = jaxrnn.plots.trajectories(found)
      >>> float(figure.axes[0].get_aspect())  # one scale for both axes
      1.0
    """
    check_type("components", components, PrincipalComponents)
    paths = values_of("components.projections", components.projections, (2, 3))
    if paths.shape[-1] < 2:
        raise ValueError("`components` must have two components: pass `num=2`.")
    paths = paths.reshape(len(paths), -1, paths.shape[-1])[..., :2]
    ax = on_axes(ax, 5.6, 4.4)
    color = "C0"
    ax.plot(paths[..., 0], paths[..., 1], color=color, linewidth=0.7, alpha=0.5)
    ax.plot(*paths[0].T, ".", color=color, markersize=5)
    if fixed_points is not None:
        _draw_points(ax, components, fixed_points)
    shares = np.asarray(components.shares, np.float64)
    ax.set_aspect("equal", adjustable="datalim")
    ax.set(
        xlabel=f"component 1 ({shares[0]:.0%} of the variance)",
        ylabel=f"component 2 ({shares[1]:.0%})",
    )
    return finish(ax, legend=fixed_points is not None, is_beside=True)


def _draw_points(ax, components, points):
    check_type("fixed_points", points, FixedPoints)
    h = getattr(points.carries, "h", None)
    mean = np.asarray(components.mean, np.float64)
    if h is None or h.shape[-1:] != mean.shape:
        raise ValueError(
            f"`fixed_points` must have carries with a leaf `h` (P, {len(mean)}), as the states "
            f"have, got {describe(h)}."
        )
    places = (np.asarray(h, np.float64) - mean) @ np.asarray(components.components[:2]).T
    kinds = {
        "stable": (points.is_fixed & points.is_stable, {"marker": "o", "color": ink()}),
        "unstable": (
            points.is_fixed & ~points.is_stable,
            {"marker": "o", "facecolors": "none", "edgecolors": ink(), "linewidths": 1.5},
        ),
        "slow": (~points.is_fixed, {"marker": "x", "color": ink(), "s": 20}),
    }
    for label, (which, style) in kinds.items():
        if which.any():
            ax.scatter(*places[which].T, label=label, zorder=3, **{"s": 50, **style})
