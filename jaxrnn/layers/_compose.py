"""Shared by layers that are made of other layers."""

from typing import Any

import jax

from jaxrnn._core.checks import check_features, check_sequence, describe, example
from jaxrnn._core.entry import shapes
from jaxrnn._core.timed import features
from jaxrnn._core.types import Layer, Params


def fold_key(key: jax.Array | None, i: int) -> jax.Array | None:
    """A key for part i alone; None if there is no key."""
    return None if key is None else jax.random.fold_in(key, i)


def outputs(layer: Layer, params: Params, xs: Any) -> Any:
    """The shapes and dtypes of the outputs of `layer` for `xs`: (T, ...), or (...) after a pool.

    They are found with an empty sequence, so no loop is traced.
    """
    length = check_sequence(xs)
    _, ys = empty_results(layer, params, xs)
    return _resized(length, ys) if _has_time_axis(ys) else ys


def empty_results(layer: Layer, params: Params, xs: Any) -> tuple[Any, Any]:
    """The shapes of the carry and the outputs that `layer` returns for no steps like `xs`."""
    return shapes(layer, params, _resized(0, xs))


def keeps_time(layer: Layer, params: Params, xs: Any) -> bool:
    """Whether `layer` returns a sequence; it does not if it ends in a pool."""
    return _has_time_axis(empty_results(layer, params, xs)[1])


def check_keeps_time(name: str, layer: Layer, params: Params, xs: Any) -> None:
    """Raises if `layer` pools over time, because `name` needs a sequence of outputs."""
    if not keeps_time(layer, params, xs):
        raise ValueError(
            f"`{name}` needs a layer that returns a sequence, and {layer!r} pools over time. Put "
            f"the pool after it, as in `stack({name}(...), pool_last, dense(...))`."
        )


def check_like_input(name: str, layer: Layer, params: Params, xs: Any) -> None:
    """Raises unless the outputs of `layer` have the shape and dtype of `xs`, as `name` needs."""
    ys = outputs(layer, params, xs)
    xs = features(xs)
    check_features(example(xs))
    if describe(ys) != describe(xs):
        raise ValueError(
            f"`{name}` adds the input to the output of its layer, which must have the same shape "
            f"and dtype: the input is {describe(xs)}, the output {describe(ys)}. Give the layer "
            f"{xs.shape[-1]} features, or end it in a map to them: "
            f"`jaxrnn.stack(layer, jaxrnn.dense({xs.shape[-1]}))`."
        )


def _resized(length, tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((length, *x.shape[1:]), x.dtype), tree)


def _has_time_axis(ys):
    return all(leaf.shape[:1] == (0,) for leaf in jax.tree.leaves(ys))
