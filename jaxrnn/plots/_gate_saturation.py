"""How often each unit of each gate is near one of its ends."""

from collections.abc import Mapping

from jaxrnn.diagnostics import Saturation
from jaxrnn.plots._axes import (
    MARKERS,
    Axes,
    Figure,
    by_name,
    check_type,
    finish,
    ink,
    on_axes,
    values_of,
)


def gate_saturation(
    gates: Mapping[str, Saturation],
    *,
    names: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws each unit of each gate by how often it is near its low and its high end.

    On the diagonal, a unit is always near one of its ends, and passes hardly any gradient. At the
    bottom left it never is, and works like a linear unit (Karpathy, Johnson and Li, 2016).

        found = diagnostics.gate_saturation(jaxrnn.lstm(64), params, None, xs)
        plots.gate_saturation(found, names={"sigmoid[0]": "input", "sigmoid[1]": "forget"})

    Args:
      gates: from `jaxrnn.diagnostics.gate_saturation`.
      names: what to call gates in the picture. Where it is given, only these are drawn.
      ax: the Axes to draw on; None means those of a new Figure.

    Returns:
      The Figure. Axes are shares of steps, from 0 to 1.

    Raises:
      ValueError, TypeError: `gates` is of another type or empty, or `names` has a gate that is not
        in it.

    Examples:
      >>> shares = jnp.array([0.0, 0.5])  # of two units
      >>> forget = jaxrnn.diagnostics.Saturation(low=shares, high=1 - shares)
      >>> figure = jaxrnn.plots.gate_saturation({"sigmoid[1]": forget}, names={"sigmoid[1]": "f"})
    """
    if not isinstance(gates, Mapping):
        raise TypeError("`gates` must be the dict that `gate_saturation` returns.")
    gates = by_name("gates", gates)
    names = {name: name for name in gates} if names is None else dict(names)
    for name in names:
        if name not in gates:
            raise ValueError(f"`names` has {name!r}, and the gates are {', '.join(gates)}.")
        check_type("gates", gates[name], Saturation)
    ax = on_axes(ax, 4.8, 4.2)
    ax.plot([0, 1], [1, 0], color=ink(), linewidth=0.6)
    for i, (gate, name) in enumerate(names.items()):
        low, high = (values_of("gates", x, 1) for x in gates[gate])
        marker, color = MARKERS[i % len(MARKERS)], f"C{i % 10}"
        face = {"markerfacecolor": "none", "linestyle": "none", "markersize": 5}
        ax.plot(low, high, marker=marker, color=color, label=name, **face)
    ax.set_aspect("equal")
    ax.set(
        xlim=(-0.03, 1.03),
        ylim=(-0.03, 1.03),
        xlabel="share near the low end",
        ylabel="share near the high end",
    )
    return finish(ax, legend=True)
