"""Stacks of layers."""

from collections.abc import Callable
from typing import Any

import jax

from jaxrnn._core.checks import check_features, example
from jaxrnn._core.entry import constructor
from jaxrnn._core.timed import at_times_of, features
from jaxrnn._core.types import Layer, check_layer
from jaxrnn.layers._compose import fold_key
from jaxrnn.layers._pool import Pool, parts_of


@constructor
def stack(*layers: Layer | Pool) -> Layer:
    """A stack of layers: the outputs of each are the inputs of the next.

    A pool such as `jaxrnn.pool_last` turns the sequence into one vector. The layers after it see no
    time axis, mask or resets, and the stack returns (..., F) without a time axis:
    ``stack(embed(66, 64), bidirectional(lstm(128)), pool_mean, dense(2))`` is a classifier. Such a
    stack needs the whole sequence in one call.

    Args:
      *layers: at least one layer, of any kind and width; at most one of them is a pool.

    Returns:
      A `Layer` whose parameters and carry are tuples with one entry per layer. Mask, resets and
      context go to every layer, and the gaps of `jaxrnn.Timed` inputs to every layer up to a pool;
      layer i gets the key ``jax.random.fold_in(key, i)``.

    Raises:
      ValueError: there is no layer.
      TypeError: an argument is not a `Layer` and not a pool.

    Examples:
      >>> model = jaxrnn.stack(
      ...     jaxrnn.embed(100, 4), jaxrnn.rnn(jaxrnn.lstm(8)), jaxrnn.pool_last, jaxrnn.dense(3)
      ... )
      >>> symbols = jnp.zeros((5, 2), int)  # (T, B)
      >>> params = model.init(jax.random.key(0), symbols)
      >>> carry, logits = model.apply(params, None, symbols)
      >>> len(params), logits.shape
      (4, (2, 3))
    """
    return _chain("stack", layers, lambda xs, ys: ys, lambda outputs: outputs[-1])


@constructor
def skip_stack(*layers: Layer) -> Layer:
    """A stack with skip connections: input to every layer, every layer to the output.

        y¹ = layer₁(x)
        yⁿ = layerₙ([x, yⁿ⁻¹])
        y = [y¹, ..., yᴺ]

    [ ] concatenates features. A `jaxrnn.dense` after it reads every layer, as in Graves's networks:
    ``stack(skip_stack(rnn(lstm(400)), rnn(lstm(400)), rnn(lstm(400))), dense(121))``.

    Args:
      *layers: at least one layer, of any kind and width.

    Returns:
      A `Layer` whose parameters and carry are tuples with one entry per layer, as in
      `jaxrnn.stack`: (T, ..., I) -> (T, ..., F), where F is the sum of the widths of the layers.

    Raises:
      ValueError: there is no layer.
      TypeError: an argument is not a `Layer`, or the input is not floating.

    References: Graves, 2013, "Generating sequences with recurrent neural networks".

    Examples:
      >>> layer = jaxrnn.skip_stack(jaxrnn.rnn(jaxrnn.lstm(8)), jaxrnn.rnn(jaxrnn.gru(6)))
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = jax.eval_shape(layer.init, jax.random.key(0), xs)
      >>> params[1].kernel.shape  # the second layer reads 4 + 8 features
      (12, 18)
      >>> jax.eval_shape(layer.apply, params, None, xs)[1].shape  # 8 + 6 features
      (5, 2, 14)
    """
    for i, layer in enumerate(layers):
        check_layer(f"argument {i} of `skip_stack`", layer)
    return _chain("skip_stack", layers, lambda xs, ys: _join([xs, ys]), _join)


def _join(parts: list[jax.Array]) -> jax.Array:
    """Concatenates arrays (T, ..., F) of one dtype along the last axis."""
    for part in parts:
        check_features(example(part))
    return jax.lax.concatenate(parts, dimension=parts[0].ndim - 1)


def _chain(name: str, layers: tuple, feed: Callable, collect: Callable) -> Layer:
    """Runs layers one after another.

    Args:
      name: the name of the combinator, for error messages.
      layers: the layers.
      feed: ``(inputs of the chain, outputs of a layer) -> inputs of the next layer``.
      collect: ``outputs of all layers -> outputs of the chain``.
    """
    if not layers:
        raise ValueError(f"`{name}` needs at least one layer, got none.")

    parts = parts_of(name, layers)

    def inputs_of(part, xs, fed):
        """What a part reads, given the features that it is fed."""
        return at_times_of(xs, fed) if part.keeps_time else fed

    def shapes_fed(part, params, xs, inputs):
        return jax.eval_shape(feed, features(xs), part.outputs(params, inputs))

    def init(key, xs):
        params, fed = [], features(xs)
        for part, part_key in zip(parts, jax.random.split(key, len(parts)), strict=True):
            inputs = inputs_of(part, xs, fed)
            params.append(part.layer.init(part_key, inputs))
            fed = shapes_fed(part, params[-1], xs, inputs)
        return tuple(params)

    def init_carry(params, xs):
        _check_entries(name, "params", params, layers)
        carry, fed = [], features(xs)
        for part, own in zip(parts, params, strict=True):
            inputs = inputs_of(part, xs, fed)
            carry.append(part.layer.init_carry(own, inputs))
            fed = shapes_fed(part, own, xs, inputs)
        return tuple(carry)

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        _check_entries(name, "params", params, layers)
        carry = (None,) * len(layers) if carry is None else carry
        _check_entries(name, "carry", carry, layers)
        new, ys = [], []
        flags = {"mask": mask, "resets": resets, "context": context}
        for i, part in enumerate(parts):
            inputs = inputs_of(part, xs, feed(features(xs), ys[-1]) if ys else features(xs))
            after = part.layer.apply(params[i], carry[i], inputs, key=fold_key(key, i), **flags)
            new.append(after[0])
            ys.append(after[1])
        return tuple(new), collect(ys)

    return Layer(init, init_carry, apply)


def _check_entries(name: str, kind: str, entries: Any, layers: tuple) -> None:
    if not isinstance(entries, tuple) or len(entries) != len(layers):
        raise TypeError(
            f"`{kind}` of this {name} must be a tuple with one entry for each of its "
            f"{len(layers)} layers, got {type(entries).__name__}"
            f"{f' of {len(entries)}' if isinstance(entries, (tuple, list)) else ''}."
        )
