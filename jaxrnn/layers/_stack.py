"""Layers one after the other."""

from collections.abc import Callable
from typing import Any

import jax

from jaxrnn._checks import check_features, check_key, example
from jaxrnn._compose import check_layer, fold_key, outputs
from jaxrnn._types import Layer


def stack(*layers: Layer) -> Layer:
    """Layers one after the other: the outputs of each are the inputs of the next.

    Args:
      *layers: any layers, of any kind and width; at least one.

    Returns:
      A `Layer` whose parameters and carry are tuples, one entry a layer. Mask and resets go to
      every layer; layer i draws its random numbers from ``jax.random.fold_in(key, i)``.

    Raises:
      ValueError: there is no layer.
      TypeError: an argument is not a `Layer`.
    """
    return _chain("stack", layers, feed=lambda xs, ys: ys, collect=lambda outputs: outputs[-1])


def skip(*layers: Layer) -> Layer:
    """A stack with connections that skip layers: input to every layer, every layer to the output.

        y¹ = layer₁(x)
        yⁿ = layerₙ([x, yⁿ⁻¹])
        y = [y¹, ..., yᴺ]

    [ ] joins features. A `jaxrnn.dense` after it reads every layer, as in Graves's networks:
    ``stack(skip(rnn(lstm(400)), rnn(lstm(400)), rnn(lstm(400))), dense(121))``.

    Args:
      *layers: any layers, of any kind and width; at least one.

    Returns:
      A `Layer` whose parameters and carry are tuples, one entry a layer, as of `jaxrnn.stack`:
      (T, ..., I) -> (T, ..., F), where F is the sum of the widths of the layers.

    Raises:
      ValueError: there is no layer.
      TypeError: an argument is not a `Layer`, or the input is not floating.

    References: Graves, 2013, "Generating sequences with recurrent neural networks".
    """

    def feed(xs, ys):
        return _join([xs, ys])

    return _chain("skip", layers, feed, _join)


def _join(parts: list[jax.Array]) -> jax.Array:
    """The arrays (T, ..., F), beside each other in the last axis. They must have one dtype."""
    for part in parts:
        check_features(example(part))
    return jax.lax.concatenate(parts, dimension=parts[0].ndim - 1)


def _chain(name: str, layers: tuple, feed: Callable, collect: Callable) -> Layer:
    """Layers in order.

    Args:
      name: of the combinator, for messages.
      layers: the layers.
      feed: from the input of the chain and the outputs of a layer, the inputs of the next one.
      collect: from the outputs of all layers, those of the chain.
    """
    if not layers:
        raise ValueError(f"`{name}` needs at least one layer, got none.")
    for i, layer in enumerate(layers):
        check_layer(f"argument {i} of `{name}`", layer)

    def shapes_fed(layer, params, xs, inputs):
        return jax.eval_shape(feed, xs, outputs(layer, params, inputs))

    def init(key, xs):
        check_key(key)
        params, inputs = [], xs
        for layer, layer_key in zip(layers, jax.random.split(key, len(layers)), strict=True):
            params.append(layer.init(layer_key, inputs))
            inputs = shapes_fed(layer, params[-1], xs, inputs)
        return tuple(params)

    def init_carry(params, xs):
        check_entries("params", params)
        carry, inputs = [], xs
        for layer, layer_params in zip(layers, params, strict=True):
            carry.append(layer.init_carry(layer_params, inputs))
            inputs = shapes_fed(layer, layer_params, xs, inputs)
        return tuple(carry)

    def apply(params, carry, xs, *, mask=None, resets=None, key=None):
        check_entries("params", params)
        carry = (None,) * len(layers) if carry is None else carry
        check_entries("carry", carry)
        new, ys = [], []
        for i, layer in enumerate(layers):
            inputs = feed(xs, ys[-1]) if ys else xs
            options = {"mask": mask, "resets": resets, "key": fold_key(key, i)}
            layer_carry, layer_ys = layer.apply(params[i], carry[i], inputs, **options)
            new.append(layer_carry)
            ys.append(layer_ys)
        return tuple(new), collect(ys)

    def check_entries(kind: str, entries: Any) -> None:
        if not isinstance(entries, tuple) or len(entries) != len(layers):
            raise TypeError(
                f"`{kind}` of this {name} must be a tuple with an entry for each of its "
                f"{len(layers)} layers, got {type(entries).__name__}"
                f"{f' of {len(entries)}' if isinstance(entries, (tuple, list)) else ''}."
            )

    return Layer(init, init_carry, apply)
