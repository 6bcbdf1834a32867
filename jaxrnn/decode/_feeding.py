"""What all decoders share: a prompt is read, and then each output becomes the next input."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.construction import Constructed
from jaxrnn._core.equality import fixed_key
from jaxrnn._core.ranges import is_index
from jaxrnn._core.types import Carry, Layer, Params


class _ChoiceFields(NamedTuple):
    sample: Callable | None
    length: int
    stop: int | None
    num_axes: int  # of the batch


class Choices(Constructed, _ChoiceFields):
    """What a decoding program is compiled for, beside the shapes of its arrays."""


def as_one_program(run: Callable) -> Callable:
    """``run(model, choices, *arrays)``, compiled once for equal models and choices.

    Not where a model or a choice has a state of its own, which a compiled program would not see
    change.
    """
    compiled = jax.jit(run, static_argnums=(0, 1))

    @functools.wraps(run)
    def choose(model, choices, *arrays):
        is_fixed = model.fixed_key is not None and fixed_key(choices) is not None
        return (compiled if is_fixed else run)(model, choices, *arrays)

    return choose


def as_int32(symbols: jax.Array) -> jax.Array:
    """Symbols in int32, and -1, which is none, for those that int32 does not hold."""
    symbols = jnp.asarray(symbols)
    if symbols.dtype.itemsize < 4 or symbols.dtype == jnp.int32:
        return symbols.astype(jnp.int32)
    fits = is_index(symbols, 2**31 - 1)
    return jnp.where(fits, symbols.astype(jnp.int32), jnp.int32(-1))


def over_rows(function: Callable, num_axes: int) -> Callable:
    """`function` of one row, mapped over leading batch axes."""
    for _ in range(num_axes):
        function = jax.vmap(function)
    return function


def draw_rows(sample: Callable, keys: Any, position: Any, outputs: Any, num_axes: int) -> Any:
    """``sample(key, output)`` for each row, with a key that belongs to the position."""

    def draw(key, output):
        return sample(None if key is None else jax.random.fold_in(key, position), output)

    return over_rows(draw, num_axes)(keys, outputs)


def read(
    model: Layer, params: Params, carry: Carry, prompt: Any, mask: Any, context: Any
) -> tuple[Carry, Any]:
    """The carry after the prompt, and the output of the last real step of each row."""
    carry, ys = model.apply(params, carry, prompt, mask=mask, context=context)
    if mask is None:
        return carry, jax.tree.map(lambda y: y[-1], ys)
    last = prompt.shape[0] - 1 - jnp.argmax(jnp.flip(mask, axis=0), axis=0)
    return carry, jax.tree.map(lambda y: _at(y, last), ys)


def _at(y, steps):
    steps = jnp.expand_dims(steps, (0, *range(steps.ndim + 1, y.ndim)))
    return jnp.take_along_axis(y, steps, axis=0)[0]


def feed(
    model: Layer,
    params: Params,
    carry: Carry,
    x: Any,
    is_real: Any,
    context: Any,
    key: jax.Array | None = None,
) -> tuple[Carry, Any]:
    """One step of `model`; where not `is_real` the carry is held and the output is zero."""
    mask = None if is_real is None else is_real[None]
    carry, ys = model.apply(params, carry, x[None], mask=mask, context=context, key=key)
    return carry, jax.tree.map(lambda y: y[0], ys)
