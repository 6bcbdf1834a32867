"""The recurrent parts of a model, each with what comes before and after it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import describe
from jaxrnn._core.timed import at_times_of, backward_gaps
from jaxrnn._core.types import Cell, Layer, Params
from jaxrnn.diagnostics._streaming import as_cell
from jaxrnn.layers._pool import POOLS, Pool
from jaxrnn.layers._rnn import rnn
from jaxrnn.layers._stack import stack


class Part(NamedTuple):
    """A cell in a model. A part that runs backward in time is given its sequences reversed."""

    name: str
    cell: Cell
    params: Params
    mask: jax.Array | None
    before: Callable[[Any], Any]  # from the inputs of the model to those of the cell
    after: Callable[[Any, Any], Any]  # from these inputs and outputs to those of the model


def recurrent_parts(
    model: Cell | Layer, params: Params, xs: Any, mask: jax.Array | None
) -> tuple[list[Part], list[str]]:
    """The parts of `model` that can be looked at step by step, and the names of those that cannot.

    A stack is taken apart, and so is `jaxrnn.rnn`. Any other layer with a carry is one part if it
    can stream.
    """
    if not isinstance(model, (Cell, Layer)):
        raise TypeError(f"`model` must be a Cell or a Layer, got {describe(model)}.")
    build, arguments, options = model.made.rebuild if model.made else (None, (), {})
    if build is stack:
        return _of_stack(arguments, params, xs, mask)
    if build is rnn and options.get("reverse"):
        return [_backward(repr(model), arguments[0], params, mask)], []
    if isinstance(model, Layer) and not jax.tree.leaves(
        jax.eval_shape(model.init_carry, params, xs)
    ):
        return [], []
    try:
        return [_whole(repr(model), as_cell("diagnose", model, params, xs), params, mask)], []
    except (TypeError, ValueError):
        return [], [repr(model)]


def _has_carry(layer, params, xs):
    return bool(jax.tree.leaves(jax.eval_shape(layer.init_carry, params, xs)))


def _whole(name, cell, params, mask):
    return Part(name, cell, params, mask, lambda xs: xs, lambda xs, ys: ys)


def _backward(name, cell, params, mask):
    def flip(tree):
        return jax.tree.map(lambda leaf: jnp.flip(leaf, axis=0), tree)

    def before(xs):
        return flip(backward_gaps(xs, mask))

    return Part(name, cell, params, flip(mask), before, lambda xs, ys: flip(ys))


def _of_stack(layers, params, xs, mask):
    parts, others = [], []
    for i, layer in enumerate(layers):
        if layer in POOLS or isinstance(layer, Pool):
            break
        before = _run(layers[:i], params[:i], mask)
        after = _run(layers[i + 1 :], params[i + 1 :], mask)
        own, left_out = recurrent_parts(layer, params[i], jax.eval_shape(before, xs), mask)
        parts += [_within(part, before, after) for part in own]
        others += left_out
    return parts, others


def _within(part, before, after):
    def all_before(xs):
        return part.before(before(xs))

    def all_after(xs, ys):
        return after(at_times_of(xs, part.after(xs, ys)))

    return part._replace(before=all_before, after=all_after)


def _run(layers, params, mask):
    if not layers:
        return lambda xs: xs
    layer = stack(*layers)

    def run(xs):
        return at_times_of(xs, layer.apply(tuple(params), None, xs, mask=mask)[1])

    return run
