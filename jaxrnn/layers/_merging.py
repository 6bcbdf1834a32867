"""Merges the outputs of both directions into one sequence."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import describe

Merge = str | Callable[[Any, Any], Any]

_MERGES = {
    "concat": lambda ahead, back: jnp.concatenate([ahead, back], axis=-1),
    "sum": lambda ahead, back: ahead + back,
    "mul": lambda ahead, back: ahead * back,
    "mean": lambda ahead, back: (ahead + back) / 2,
}


def merging(merge: Merge) -> Callable[[Any, Any], Any]:
    """The merge function, which `merge` is or names; raises if the name is unknown."""
    if callable(merge):
        return merge
    if not isinstance(merge, str) or merge not in _MERGES:
        raise ValueError(
            f"`merge` must be one of {sorted(_MERGES)}, or a function of the outputs of both "
            f"directions, got {merge!r}."
        )
    return _MERGES[merge]


def check_merge(merge: Merge, ahead: Any, back: Any) -> Any:
    """The shapes of the merged outputs; raises unless `merge` fits the outputs.

    Args:
      merge: as in `jaxrnn.bidirectional`.
      ahead: the shapes of the forward outputs.
      back: the shapes of the backward outputs.
    """
    both = f"{describe(ahead)} forward and {describe(back)} backward"
    if not callable(merge):
        _check_alike(merge, ahead, back, both)
    try:
        ys = jax.eval_shape(merging(merge), ahead, back)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`merge` cannot take the outputs {both}: {error}") from error
    fewest = min(jax.tree.leaves((ahead, back)), key=lambda leaf: leaf.ndim)
    leading = fewest.shape[: max(1, fewest.ndim - 1)]
    for y in jax.tree.leaves(ys):
        if y.shape[: len(leading)] != leading:
            raise ValueError(
                f"`merge` must keep the leading axes {leading}: from the outputs {both} it made "
                f"{describe(y)}. Pool over time afterwards, as with `jaxrnn.pool_mean`."
            )
    return ys


def _check_alike(merge, ahead, back, both):
    arrays = isinstance(ahead, jax.ShapeDtypeStruct) and isinstance(back, jax.ShapeDtypeStruct)
    if not arrays or ahead.dtype != back.dtype or ahead.shape[:-1] != back.shape[:-1]:
        raise ValueError(
            f"`merge={merge!r}` does not fit the outputs {both}: it needs one array (T, ..., H) "
            "from each direction, with equal dtypes and batch axes. Pass a function for any other."
        )
    if merge != "concat" and ahead.shape != back.shape:
        raise ValueError(
            f"`merge={merge!r}` does not fit the outputs {both}: it works element by element, so "
            "both directions need the same number of features. Give both cells one hidden size, "
            "or use `merge='concat'`."
        )
