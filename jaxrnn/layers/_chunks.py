"""A layer run over a sequence in chunks, by a loop whose body is one chunk."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_carry, check_sequence
from jaxrnn._core.loop import varying_like
from jaxrnn._core.types import Carry, Layer, Params


def carry_before(
    layer: Layer, params: Params, carry: Carry | None, xs: Any, key: Any, context: Any
) -> Carry:
    """The carry to start from: the one given, or the one that `layer` starts from.

    ``apply`` on no steps tells: a layer may draw its initial carry, or count steps where it is
    given a key.
    """
    none = jax.tree.map(lambda x: x[:0], xs)
    carry, _ = layer.apply(params, carry, none, key=key, context=context)
    return varying_like(xs, carry)


def scan_chunks(
    run: Callable[[Carry, Any], tuple[Carry, Any]], carry: Carry, xs: Any, chunk: int
) -> tuple[Carry, Any]:
    """Runs chunks one after the other, handing the carry on.

    Args:
      run: ``(carry, xs) -> (carry, ys)`` for any number of steps.
      carry: the carry before the first step.
      xs: (T, ...); a pytree, in which None stands for nothing.
      chunk: the steps of a chunk. Where it does not divide T, the last chunk is shorter.

    Returns:
      The carry after the last step and the outputs (T, ...).

    Raises:
      ValueError, TypeError: the carry after a chunk is not like the one before it.
    """
    if check_sequence(xs) >= chunk:
        _check_goes_on(run, carry, jax.tree.map(lambda x: x[:0], xs))
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
    """The carry, what `run` returns for all whole chunks, (N, ...), and for a shorter last one.

    Either is None where there is no such chunk. Without any step, the last one is empty.
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


def _check_goes_on(run, carry, xs):
    """Raises unless the carry keeps its type; `xs` are no steps, so that no loop is even traced."""
    after, _ = jax.eval_shape(run, carry, xs)
    cause = (
        "Only a layer that can stream is run in chunks. One that reads the sequence both ways, as "
        "`jaxrnn.bidirectional` does, cannot: put the chunks inside its directions."
    )
    check_carry(after, jax.eval_shape(lambda: carry), name="carry after a chunk", cause=cause)
