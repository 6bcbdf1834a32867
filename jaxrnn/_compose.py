"""What layers that are made of cells and of other layers share."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._checks import (
    check_carry,
    check_features,
    check_key,
    check_mask_and_resets,
    check_sequence,
    describe,
    example,
)
from jaxrnn._implementations import check_choice
from jaxrnn._noise import Noisy, NoisyCarry, count_steps, for_each_step
from jaxrnn._types import Cell, Layer, Params
from jaxrnn._unroll import check_cell, unroll


def layer_of(cell: Cell, *, reverse: bool = False, implementation: str | None = None) -> Layer:
    """The layer that runs `cell` over a sequence: see `jaxrnn.rnn`."""
    check_cell(cell)
    check_choice(cell, implementation)

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

    layer = Layer(init, init_carry, apply)
    return layer if cell.noise is None else _with_noise(layer, cell.noise, reverse)


def _with_noise(layer: Layer, noise: Callable, reverse: bool) -> Layer:
    """`layer`, of a cell that draws random numbers, drawing them before it runs."""

    def init_carry(params, xs):
        check_features(example(xs))
        position = jnp.zeros(example(xs).shape[:-1], jnp.int32)
        return NoisyCarry(layer.init_carry(params, xs), position)

    def apply(params, carry, xs, *, mask=None, resets=None, key=None):
        initial = jax.eval_shape(init_carry, params, xs)
        check_mask_and_resets(mask, resets, xs, initial.position)
        carry = init_carry(params, xs) if carry is None else carry
        cause = "A layer whose cell draws random numbers counts the steps of each sequence."
        check_carry(carry, initial, cause=cause)
        positions, last = _count_in_order(carry.position, mask, resets, xs.shape[0], reverse)
        if key is not None:
            check_key(key)
            x = jax.ShapeDtypeStruct(xs.shape[-1:], xs.dtype)
            draw = functools.partial(noise, params, x=x)
            xs = Noisy(xs, for_each_step(draw, key, positions))
        inner, ys = layer.apply(params, carry.carry, xs, mask=mask, resets=resets)
        return NoisyCarry(inner, last), ys

    return Layer(layer.init, init_carry, apply)


def _count_in_order(start, mask, resets, num_steps, reverse):
    """`count_steps` in the order in which the steps are made."""

    def turn(flags):
        return jnp.flip(flags, axis=0) if reverse and flags is not None else flags

    positions, last = count_steps(start, turn(mask), turn(resets), num_steps)
    return turn(positions), last


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
