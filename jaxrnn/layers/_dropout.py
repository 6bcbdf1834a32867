"""Dropout between layers."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._checks import (
    check_carry,
    check_features,
    check_flags,
    check_flags_fit,
    check_key,
    check_rate,
    example,
)
from jaxrnn._masking import blank
from jaxrnn._types import Layer


class DropoutCarry(NamedTuple):
    position: jax.Array  # (...), int32: the number of steps that each sequence has made


def dropout(rate: float) -> Layer:
    """Sets features to zero with probability `rate`, and divides the others by ``1 - rate``.

    The draw for a feature depends on the key, the position in its sequence and the place in the
    batch, on nothing else: it is the same in one run and in chunks, padded or not, and packed or
    not, since the carry counts each sequence's own steps. With ``key=None`` nothing is dropped.

    Args:
      rate: the probability, in [0, 1).

    Returns:
      A `Layer` without parameters, (), and with carry `DropoutCarry`: (T, ..., I) -> (T, ..., I).

    Raises:
      ValueError, TypeError: `rate` is not in [0, 1).

    References: Srivastava et al., 2014, "Dropout: a simple way to prevent neural networks from
    overfitting".
    """
    check_rate("rate", rate)

    def init(key, xs):
        check_features(example(xs))
        return ()

    def init_carry(params, xs):
        return DropoutCarry(jnp.zeros(example(xs).shape[:-1], jnp.int32))

    def apply(params, carry, xs, *, mask=None, resets=None, key=None):
        check_features(example(xs))
        initial = init_carry(params, xs)
        for name, flags in (("mask", mask), ("resets", resets)):
            check_flags(name, flags, xs)
            check_flags_fit(name, flags, initial)
        carry = initial if carry is None else carry
        check_carry(carry, initial, cause="Is it the carry of another layer or batch?")
        xs = blank(mask, jnp.asarray(xs))
        flags_shape = xs.shape[:-1]
        is_real = _broadcast(mask, flags_shape, True)
        positions, last = _positions(
            carry.position, is_real, _broadcast(resets, flags_shape, False)
        )
        if key is not None and rate > 0:
            check_key(key)
            keep = _keep(key, positions, xs.shape[-1], rate)
            xs = jnp.where(keep, xs / (1 - rate), 0).astype(xs.dtype)
        return DropoutCarry(last), xs

    return Layer(init, init_carry, apply)


def _broadcast(flags, shape, default):
    if flags is None:
        return jnp.full(shape, default)
    return jnp.broadcast_to(flags.reshape(*flags.shape, *(1,) * (len(shape) - flags.ndim)), shape)


def _positions(start, is_real, is_reset):
    """The position of each step in its own sequence, (T, ...), and the one after the last."""
    steps = is_real.astype(jnp.int32)
    before = jnp.cumsum(steps, axis=0) - steps
    # The count at the latest reset, or -start where there has been none.
    marks = jnp.where(is_reset & is_real, before, -start)
    since = jax.lax.cummax(marks, axis=0)
    positions = before - since
    if len(positions) == 0:
        return positions, start
    return positions, positions[-1] + steps[-1]


def _keep(key, positions, features, rate):
    """One draw for each feature, (T, ..., I), from the key, the position and the row."""
    num_rows = math.prod(positions.shape[1:])
    rows = jnp.arange(num_rows, dtype=jnp.uint32).reshape(positions.shape[1:])

    def draw(row, position):
        at = jax.random.fold_in(jax.random.fold_in(key, row), position)
        return jax.random.bernoulli(at, 1 - rate, (features,))

    return jnp.vectorize(draw, signature="(),()->(f)")(rows, positions)
