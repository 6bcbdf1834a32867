"""Steps at irregular times: inputs that come with the time since the step before.

One rule hands gaps on: whatever runs a sequence gives each cell and layer the features that it
reads, with the gaps beside them if it reads time. What reads none gets the features alone, and
outputs are always features alone.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import describe
from jaxrnn._core.masking import over_batch, zero_where_masked
from jaxrnn._core.ranges import check_known
from jaxrnn._core.types import Cell, Layer


class Timed(NamedTuple):
    """Inputs with time gaps, for cells that read how much time has passed, such as `jaxrnn.cfc`.

    A stack hands the gaps to each layer up to a pool, beside the outputs of the layer below. Layers
    and cells that read no time get the features alone. `jaxrnn.data.time_gaps` makes gaps from
    times. A gap below 0, or NaN, raises where its value is known, that is, outside `jit`; elsewhere
    it makes the state NaN. A reversed run turns the gaps: each step gets the time to the next one,
    and the last step 0.
    """

    x: Any  # (..., I)
    dt: jax.Array  # (...), floating: the time since the step before, in the unit of your choice


def features(x: Any) -> Any:
    """Inputs without their gaps.

    Args: `x`, a step or a sequence, `jaxrnn.Timed` or not.

    Examples:
      >>> timed = jaxrnn.Timed(x=jnp.zeros((7, 3, 5)), dt=jnp.ones((7, 3)))
      >>> jaxrnn.authoring.features(timed).shape
      (7, 3, 5)
      >>> jaxrnn.authoring.features(timed.x) is timed.x
      True
    """
    return x.x if isinstance(x, Timed) else x


def at_times_of(xs: Any, ys: Any) -> Any:
    """The features `ys`, with the gaps of `xs` if it has any."""
    return xs._replace(x=ys) if isinstance(xs, Timed) else ys


def gaps(x: Timed, dtype: Any) -> jax.Array:
    """The gaps (..., 1) of inputs, to compute with in `dtype`; NaN for one below 0.

    Args:
      x: a step or a sequence.
      dtype: of the result.

    Examples:
      >>> step = jaxrnn.Timed(x=jnp.zeros((3, 5)), dt=jnp.array([0.5, 0.0, -1.0]))
      >>> jaxrnn.authoring.gaps(step, jnp.float32).tolist()
      [[0.5], [0.0], [nan]]
    """
    dt = x.dt.astype(dtype)[..., None]
    return jnp.where(dt >= 0, dt, jnp.nan)


def inputs_of(cell: Cell, xs: Any) -> Any:
    """What `cell` reads of `xs`, a step or a sequence; raises if it lacks the gaps for it."""
    if not cell.reads_time:
        return features(xs)
    found = [node for node in _nodes(xs) if isinstance(node, Timed)]
    if not found:
        raise TypeError(
            f"{cell!r} reads how much time has passed: its inputs must be `jaxrnn.Timed(x, dt)`, "
            f"got {describe(xs)}. For steps at equal intervals, dt is an array of ones, "
            "`jnp.ones(xs.shape[:-1])`."
        )
    for node in found:
        _check(node, cell.num_feature_axes)
    return xs


def on_features(layer: Layer) -> Layer:
    """`layer`, which reads no time, for inputs with gaps too."""

    def init(key, xs):
        return layer.init(key, features(xs))

    def init_carry(params, xs):
        return layer.init_carry(params, features(xs))

    def apply(params, carry, xs, **options):
        return layer.apply(params, carry, features(xs), **options)

    return Layer(init, init_carry, apply)


def check_gaps(xs: Any, mask: Any) -> None:
    """Raises if a gap of a real step is known to be below 0, or NaN."""
    for node in _nodes(xs):
        if isinstance(node, Timed):
            cause = (
                "A gap is the time since the step before: are the times in order? "
                "`jaxrnn.data.time_gaps` makes gaps from times."
            )
            check_known("dt", node.dt, mask, 0, float("inf"), cause=cause)


def backward_gaps(xs: Any, mask: jax.Array | None) -> Any:
    """`xs` for a run from the end: each gap is that to the next real step, and 0 for the last."""

    def turned(node):
        return node._replace(dt=_turned(node.dt, mask)) if isinstance(node, Timed) else node

    return jax.tree.map(turned, xs, is_leaf=_is_timed)


def _turned(dt, mask):
    num_steps, *batch = dt.shape
    real = over_batch(mask, dt.shape, True)
    steps = jnp.arange(num_steps, dtype=jnp.int32).reshape(num_steps, *(1,) * len(batch))
    first = jax.lax.cummin(jnp.where(real, steps, num_steps), axis=0, reverse=True)
    none = jnp.full((1, *batch), num_steps, jnp.int32)
    after = jnp.concatenate([first, none])[1:]  # the next real step, or T where there is none
    dt = zero_where_masked(mask, dt)
    padded = jnp.concatenate([dt, jnp.zeros((1, *batch), dt.dtype)])
    return jnp.take_along_axis(padded, after, axis=0)


def _check(x, num_feature_axes):
    """Raises unless the gaps of a step or a sequence are floating and fit its features."""
    if not hasattr(x.dt, "dtype") or not jnp.issubdtype(x.dt.dtype, jnp.floating):
        raise TypeError(
            f"`dt` must be a floating array, one gap for each step, got {describe(x.dt)}. Convert "
            "times with `.astype`."
        )
    expected = tuple(x.x.shape[: x.x.ndim - num_feature_axes])
    if tuple(x.dt.shape) != expected:
        raise ValueError(
            f"`dt` must be {expected}, one gap for each step of x {tuple(x.x.shape)}, got "
            f"{tuple(x.dt.shape)}. Leave out the feature axes of x."
        )


def _is_timed(node):
    return isinstance(node, Timed)


def _nodes(xs):
    return jax.tree.leaves(xs, is_leaf=_is_timed)
