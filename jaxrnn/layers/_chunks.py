"""Runs a layer over a sequence chunk by chunk, in a loop whose body is one chunk."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_sequence
from jaxrnn._core.events import current
from jaxrnn._core.loop import varying_like
from jaxrnn._core.matching import check_carry
from jaxrnn._core.types import Carry, Layer, Params


def as_one_program(run: Callable) -> Callable:
    """`run`, compiled once for equal layers, so that eager calls do not compile their loop again.

    Not for a layer whose functions may change, nor where its parts report what they do: a program
    that is compiled already does not.

    Args:
      run: ``(layer, size, context, *arrays) -> (carry, ys)``.
    """
    compiled = jax.jit(run, static_argnums=(0, 1))

    def choose(layer, size, context, *arrays):
        is_silent = context.value is None and current() is None
        if layer.fixed_key is not None and is_silent:
            return compiled(layer, size, None, *arrays)
        return run(layer, size, context, *arrays)

    return choose


def carry_before(
    layer: Layer,
    params: Params,
    carry: Carry | None,
    xs: Any,
    resets: jax.Array | None,
    key: Any,
    context: Any,
) -> Carry:
    """The carry to start from: the given one, or the initial carry of `layer`.

    Applying the layer to zero steps finds it: a layer may draw its initial carry, or count steps if
    it is given a key.
    """
    none = jax.tree.map(lambda x: x[:0], xs)
    carry, _ = layer.apply(params, carry, none, key=key, context=context)
    return varying_like((params, xs, resets, key), carry)


def scan_chunks(
    run: Callable[[Carry, Any], tuple[Carry, Any]], carry: Carry, xs: Any, chunk: int
) -> tuple[Carry, Any]:
    """Runs chunks one after another, and passes the carry along.

    Args:
      run: ``(carry, xs) -> (carry, ys)`` for any number of steps.
      carry: the carry before the first step.
      xs: a pytree of arrays (T, ...); None for an absent part.
      chunk: the number of steps per chunk. If it does not divide T, the last chunk is shorter.

    Returns:
      The carry after the last step and the outputs (T, ...).

    Raises:
      ValueError, TypeError: the carry after a chunk has another structure, shape or dtype than the
        one before it.
    """
    if check_sequence(xs) >= chunk:
        _check_streams(run, carry, jax.tree.map(lambda x: x[:0], xs))
    carry, chunks, rest = over_chunks(run, carry, xs, chunk)
    if chunks is None:
        return carry, rest
    ys = jax.tree.map(lambda y: y.reshape(y.shape[0] * y.shape[1], *y.shape[2:]), chunks)
    if rest is None:
        return carry, ys
    return carry, jax.tree.map(lambda y, r: jnp.concatenate([y, r]), ys, rest)


def over_chunks(
    run: Callable[[Carry, Any], tuple[Carry, Any]], carry: Carry, xs: Any, chunk: int
) -> tuple[Carry, Any, Any]:
    """Runs all full chunks in a loop, and a shorter last one after it.

    Returns:
      The carry, the outputs of all full chunks (N, ...), and the outputs of a shorter last chunk.
      Outputs are None if there is no such chunk. If T is 0, the last chunk is empty.
    """
    length = check_sequence(xs)
    whole = length - length % chunk

    def split(x):
        return x[:whole].reshape(whole // chunk, chunk, *x.shape[1:])

    chunks = rest = None
    if whole:
        carry, chunks = jax.lax.scan(run, carry, jax.tree.map(split, xs))
    if whole < length or not whole:
        carry, rest = run(carry, jax.tree.map(lambda x: x[whole:], xs))
    return carry, chunks, rest


def _check_streams(run, carry, xs):
    """Raises unless the carry keeps its type. `xs` has zero steps, so no loop is traced."""
    after, _ = jax.eval_shape(run, carry, xs)
    cause = (
        "Only a layer that can stream runs in chunks. A bidirectional layer cannot: chunk its "
        "directions instead."
    )
    check_carry(after, jax.eval_shape(lambda: carry), name="carry after a chunk", cause=cause)
