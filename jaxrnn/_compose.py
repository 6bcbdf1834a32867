"""What layers that are made of cells and of other layers share."""

from typing import Any

import jax

from jaxrnn._checks import check_features, check_key, check_sequence, describe, example
from jaxrnn._types import Cell, Layer, Params
from jaxrnn._unroll import check_cell, choose, unroll


def layer_of(cell: Cell, *, reverse: bool = False, implementation: str | None = None) -> Layer:
    """The layer that runs `cell` over a sequence: see `jaxrnn.rnn`."""
    check_cell(cell)
    choose(cell, implementation)

    def init(key, xs):
        return cell.init(key, example(xs))

    def init_carry(params, xs):
        return cell.init_carry(params, example(xs))

    def apply(params, carry, xs, *, mask=None, resets=None, key=None):
        if key is not None:
            check_key(key)
        options = {"mask": mask, "resets": resets}
        choices = {"reverse": reverse, "implementation": implementation}
        return unroll(cell, params, carry, xs, **options, **choices)

    return Layer(init, init_carry, apply)


def fold_key(key: jax.Array | None, i: int) -> jax.Array | None:
    """The key of part i, from which no other part draws; None where there is none."""
    if key is None:
        return None
    check_key(key)
    return jax.random.fold_in(key, i)


def outputs(layer: Layer, params: Params, xs: Any) -> Any:
    """The shapes and dtypes of what `layer` returns for `xs`, (T, ...).

    They are found from an empty sequence, so that no loop is even traced.
    """
    length = check_sequence(xs)

    def resized(length, tree):
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct((length, *x.shape[1:]), x.dtype), tree)

    def apply(params, xs):
        return layer.apply(params, None, xs)[1]

    return resized(length, jax.eval_shape(apply, params, resized(0, xs)))


def check_layer(name: str, layer: Any) -> None:
    """Raises unless `layer` is a `Layer`."""
    if not isinstance(layer, Layer):
        raise TypeError(
            f"{name} must be a Layer, got {describe(layer)}. "
            "A cell becomes a layer with `jaxrnn.rnn(cell)`."
        )


def check_like_input(name: str, layer: Layer, params: Params, xs: Any) -> None:
    """Raises unless `layer` returns an array like `xs`, which `name` adds to it."""
    check_features(example(xs))
    ys = outputs(layer, params, xs)
    if describe(ys) != describe(xs):
        raise ValueError(
            f"`{name}` adds the input to the output of its layer, which must have the same shape "
            f"and dtype: the input is {describe(xs)}, the output {describe(ys)}. Give the layer "
            f"{xs.shape[-1]} features, or end it in a map to them: "
            f"`jaxrnn.stack(layer, jaxrnn.dense({xs.shape[-1]}))`."
        )
