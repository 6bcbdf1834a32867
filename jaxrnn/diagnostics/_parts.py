"""The recurrent parts of a model, each with what comes before and after it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import describe
from jaxrnn._core.masking import zero_where_masked
from jaxrnn._core.timed import at_times_of, backward_gaps
from jaxrnn._core.types import Cell, Layer, Params
from jaxrnn.diagnostics._streaming import as_cell
from jaxrnn.layers._bidirectional import bidirectional
from jaxrnn.layers._merging import merging
from jaxrnn.layers._pool import POOLS, Pool
from jaxrnn.layers._rnn import rnn
from jaxrnn.layers._stack import stack


class Part(NamedTuple):
    """A cell in a model. A part that runs backward in time is given its sequences reversed.

    Running `cell` on ``before(xs)`` with `mask` makes the ys for which ``after(xs, ys)`` is what
    the model makes of `xs`.
    """

    name: str
    cell: Cell
    params: Params
    mask: jax.Array | None
    before: Callable[[Any], Any]  # from the inputs of the model to those of the cell
    after: Callable[[Any, Any], Any]  # from the inputs of the model and the outputs of the cell
    is_reversed: bool = False


def recurrent_parts(
    model: Cell | Layer, params: Params, xs: Any, mask: jax.Array | None
) -> tuple[list[Part], list[str]]:
    """The parts of `model` that can be looked at step by step, and the names of those that cannot.

    A stack is taken apart, and so are `jaxrnn.rnn` and `jaxrnn.bidirectional`. Any other layer with
    a carry is one part if it can stream.
    """
    if not isinstance(model, (Cell, Layer)):
        raise TypeError(f"`model` must be a Cell or a Layer, got {describe(model)}.")
    build, arguments, options = model.made.rebuild if model.made else (None, (), {})
    if build is stack:
        return _of_stack(arguments, params, xs, mask)
    if build is bidirectional:
        return _of_directions(*arguments, params=params, xs=xs, mask=mask, **options)
    if build is rnn and options.get("reverse"):
        parts, _ = _of_reversed(rnn(arguments[0]), params, xs, mask)
        return [part._replace(name=repr(model)) for part in parts], []
    if isinstance(model, Layer) and not jax.tree.leaves(
        jax.eval_shape(model.init_carry, params, xs)
    ):
        return [], []
    try:
        cell = as_cell("diagnose", model, params, xs)
    except (TypeError, ValueError):
        return [], [repr(model)]
    return [Part(repr(model), cell, params, mask, lambda xs: xs, lambda xs, ys: ys)], []


def _flip(tree):
    return jax.tree.map(lambda leaf: jnp.flip(leaf, axis=0), tree)


def _turned(xs, mask):
    """The sequence as a layer that runs backward reads it."""
    return _flip(zero_where_masked(mask, backward_gaps(xs, mask)))


def _of_reversed(layer, params, xs, mask):
    """The parts of a layer that is given its sequences reversed."""

    def within(part):
        def before(xs):
            return part.before(_turned(xs, mask))

        def after(xs, ys):
            return _flip(part.after(_turned(xs, mask), ys))

        return part._replace(before=before, after=after, is_reversed=not part.is_reversed)

    parts, others = recurrent_parts(layer, params, xs, _flip(mask))
    return [within(part) for part in parts], others


def _of_directions(forward, backward=None, *, params, xs, mask, merge="concat"):
    """The parts of both directions of a bidirectional layer."""
    backward = forward if backward is None else backward
    ahead, back = (x if isinstance(x, Layer) else rnn(x) for x in (forward, backward))
    combine = merging(merge)

    def outputs(xs):
        _, ahead_ys = ahead.apply(params.forward, None, xs, mask=mask)
        turned = _turned(xs, mask)
        return ahead_ys, _flip(back.apply(params.backward, None, turned, mask=_flip(mask))[1])

    def within(part, direction):
        def after(xs, ys):
            both = list(outputs(xs))
            both[direction] = part.after(xs, ys)
            return zero_where_masked(mask, combine(*both))

        name = f"{part.name}, {('forward', 'backward')[direction]}"
        return part._replace(name=name, after=after)

    found = (
        recurrent_parts(ahead, params.forward, xs, mask),
        _of_reversed(back, params.backward, xs, mask),
    )
    parts = [within(part, i) for i, (own, _) in enumerate(found) for part in own]
    return parts, [name for _, others in found for name in others]


def _of_stack(layers, params, xs, mask):
    parts, others = [], []
    for i, layer in enumerate(layers):
        if layer in POOLS or isinstance(layer, Pool):
            break
        before = _run(layers[:i], params[:i], mask)
        after = _run(layers[i + 1 :], params[i + 1 :], mask)
        own, left_out = recurrent_parts(layer, params[i], jax.eval_shape(before, xs), mask)
        parts += [_within(part, before, after, f"layer {i}, {part.name}") for part in own]
        others += [f"layer {i}, {name}" for name in left_out]
    return parts, others


def _within(part, before, after, name):
    def all_before(xs):
        return part.before(before(xs))

    def all_after(xs, ys):
        xs = before(xs)
        return after(at_times_of(xs, part.after(xs, ys)))

    return part._replace(name=name, before=all_before, after=all_after)


def _run(layers, params, mask):
    if not layers:
        return lambda xs: xs
    layer = stack(*layers)

    def run(xs):
        return at_times_of(xs, layer.apply(tuple(params), None, xs, mask=mask)[1])

    return run
