"""A layer as a cell: one step of it at a time, with the carry of the whole layer."""

import functools
from typing import Any

import jax

from jaxrnn._core.checks import check_sequence, describe, example
from jaxrnn._core.entry import constructor
from jaxrnn._core.matching import check_carry
from jaxrnn._core.types import Cell, Layer, Params, check_cell, from_step
from jaxrnn.layers._compose import check_keeps_time
from jaxrnn.layers._rnn import rnn


def as_cell(name: str, model: Cell | Layer, params: Params, xs: Any) -> Cell:
    """`model` as a cell, for the diagnostic `name`; raises unless it can stream."""
    if not isinstance(model, (Cell, Layer)):
        raise TypeError(f"`model` must be a Cell or a Layer, got {describe(model)}.")
    model = cell_of(model) or model
    if isinstance(model, Cell):
        check_cell(model)
        return model
    check_sequence(xs)
    check_keeps_time(name, model, params, xs)
    cell = streaming(model)
    run = functools.partial(_one_step, cell)
    carry, (after, _) = jax.eval_shape(run, params, example(xs))
    cause = (
        f"`{name}` follows the carry step by step, so it needs a layer that can stream. A "
        "bidirectional layer cannot: look at each of its directions."
    )
    check_carry(after, carry, name="carry after a step", cause=cause)
    return cell


def cell_of(layer: Cell | Layer) -> Cell | None:
    """The cell of a layer that `jaxrnn.rnn` made to run forward in time, or None."""
    build, arguments, options = layer.made.rebuild if layer.made else (None, (), {})
    return arguments[0] if build is rnn and not options.get("reverse") else None


def _one_step(cell, params, x):
    carry = cell.init_carry(params, x)
    return carry, cell.update.step(params, carry, x)


@constructor
def streaming(layer: Layer) -> Cell:
    """The cell whose step is `layer` on a sequence of one step."""

    def init(key, x):
        return layer.init(key, _with_time(x))

    def init_carry(params, x):
        return layer.init_carry(params, _with_time(x))

    def step(params, carry, x):
        carry, ys = layer.apply(params, carry, _with_time(x))
        return carry, jax.tree.map(lambda y: y[0], ys)

    return from_step(init, init_carry, step)


def _with_time(x):
    def add(leaf):
        if isinstance(leaf, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype)
        return leaf[None]

    return jax.tree.map(add, x)
