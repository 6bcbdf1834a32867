"""Pools in a stack: the pool, and the layers after it, which see one vector per sequence."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxrnn._core.construction import Constructed
from jaxrnn._core.entry import LayerCall
from jaxrnn._core.events import current, record
from jaxrnn._core.memo import shape_of
from jaxrnn._core.types import Layer, Params, check_layer
from jaxrnn.layers._compose import keeps_time, outputs
from jaxrnn.layers._pooling import pool_last, pool_max, pool_mean, pool_sum

POOLS = (pool_last, pool_mean, pool_max, pool_sum)


class _PoolFields(NamedTuple):
    init: Callable[[Any, Any], Params]
    apply: Callable[..., jax.Array]


class Pool(Constructed, _PoolFields):
    """Pooling over time with parameters.

    Attributes:
      init: ``(key, xs) -> params``. ``xs`` is an example sequence (T, ..., H), or only its shape
        and dtype.
      apply: ``(params, xs, mask=None) -> (..., H)``.
    """


class Part(NamedTuple):
    """A layer of a stack, and the shapes of its outputs."""

    layer: Layer
    outputs: Callable[[Params, Any], Any]  # (params, xs) -> shapes
    keeps_time: bool  # whether it runs over time, so that it may read time gaps


def parts_of(name: str, layers: tuple) -> list[Part]:
    """The parts of a stack. Layers after a pool see no time axis, mask or resets."""
    parts, is_pooled = [], False
    for i, layer in enumerate(layers):
        if layer in POOLS or isinstance(layer, Pool):
            if is_pooled:
                raise ValueError(
                    f"argument {i} of `{name}` is a second pool: no time axis is left."
                )
            parts.append(_pooling(layer))
            is_pooled = True
            continue
        check_layer(f"argument {i} of `{name}`", layer)
        is_last = i == len(layers) - 1
        parts.append(_without_time(layer) if is_pooled else _with_time(name, layer, is_last))
    return parts


def _with_time(name, layer, is_last):
    def shapes(params, xs):
        if not is_last and not keeps_time(layer, params, xs):
            raise ValueError(
                f"`{name}` has a layer that pools over time, {layer!r}, and layers after it, which "
                "would take the batch for time. Put the pool itself into this stack."
            )
        return outputs(layer, params, xs)

    return Part(layer, shapes, True)


def _pooling(pool):
    original = pool
    if not isinstance(pool, Pool):
        function = pool
        pool = Pool(lambda key, xs: (), lambda params, xs, mask: function(xs, mask))

    def init_carry(params, xs):
        return ()

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        ys = pool.apply(params, xs, mask)
        record(LayerCall(original, params, jax.tree.map(shape_of, ys), True))
        return (), ys

    def shapes(params, xs):
        return jax.eval_shape(lambda params, xs: pool.apply(params, xs, None), params, xs)

    return Part(Layer(pool.init, init_carry, apply), shapes, False)


def _without_time(layer):
    """`layer` for one vector per sequence, which it reads as a sequence of length 1."""

    def extended(x):
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), x)

    def init(key, x):
        return layer.init(key, extended(x))

    def init_carry(params, x):
        return layer.init_carry(params, extended(x))

    def apply(params, carry, x, *, mask=None, resets=None, key=None, context=None):
        xs = jax.tree.map(lambda leaf: leaf[None], x)
        events = current() or []
        start = len(events)
        carry, ys = layer.apply(params, carry, xs, key=key, context=context)
        events[start:] = map(_flat, events[start:])
        return carry, jax.tree.map(lambda y: y[0], ys)

    def shapes(params, x):
        return _first(outputs(layer, params, extended(x)))

    return Part(Layer(init, init_carry, apply), shapes, False)


def _first(ys):
    return jax.tree.map(lambda y: jax.ShapeDtypeStruct(y.shape[1:], y.dtype), ys)


def _flat(event):
    """The record of a layer, without the time axis that it saw."""
    return event._replace(ys=_first(event.ys)) if isinstance(event, LayerCall) else event
