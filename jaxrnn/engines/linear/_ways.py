"""Ways to run a linear recurrence over a sequence, each ``(a, b, h0, reverse) -> hs``.

Arrays are (T, ...), and h0 (...), with T at least 1. They are differentiated by a rule, never
through.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn._core.loop import varying_like


def scan(a: jax.Array, b: jax.Array, h0: jax.Array, reverse: bool) -> jax.Array:
    """Step by step: the definition."""

    def step(h, coefficients):
        a, b = coefficients
        h = a * h + b
        return h, h

    return lax.scan(step, h0, (a, b), reverse=reverse)[1]


def associative(a: jax.Array, b: jax.Array, h0: jax.Array, reverse: bool) -> jax.Array:
    """Two steps in a row are one step of the same kind: log2(T) rounds (Blelloch, 1990)."""

    def after(first, second):
        (a1, b1), (a2, b2) = first, second
        return a2 * a1, a2 * b1 + b2

    a, b = lax.associative_scan(after, (a, b), reverse=reverse)
    return a * h0 + b


def chunked(a: jax.Array, b: jax.Array, h0: jax.Array, reverse: bool) -> jax.Array:
    """√T chunks side by side, twice: first for what each does to a state, then from its state.

    Arrays are read twice and written once, in 3 √T steps, the long ones √T times as wide.
    """
    length = max(1, math.isqrt(len(a)))
    count = len(a) // length
    rest = len(a) - count * length  # of the last steps that run
    whole = slice(rest, None) if reverse else slice(count * length)
    a_chunks, b_chunks = (x[whole].reshape(count, length, *x.shape[1:]) for x in (a, b))

    def at(step):
        step = length - 1 - step if reverse else step
        return (lax.dynamic_index_in_dim(x, step, 1, keepdims=False) for x in (a_chunks, b_chunks))

    def compose(step, done):
        product, h = done
        a, b = at(step)
        return a * product, a * h + b

    none = jnp.zeros_like(b_chunks[:, 0])
    effects = varying_like((a, b), (jnp.ones_like(none), none))
    product, h = lax.fori_loop(0, length, compose, effects)
    ends = scan(product, h, h0, reverse)
    before = ends[1:] if reverse else ends[:-1]
    before = jnp.concatenate([before, h0[None]] if reverse else [h0[None], before])

    def run(step, done):
        h, hs = done
        a, b = at(step)
        h = a * h + b
        place = length - 1 - step if reverse else step
        return h, lax.dynamic_update_index_in_dim(hs, h, place, 1)

    hs = varying_like((a, b, h0), jnp.zeros_like(b_chunks))
    _, hs = lax.fori_loop(0, length, run, (before, hs))
    hs = hs.reshape(count * length, *hs.shape[2:])
    if not rest:
        return hs
    if reverse:
        return jnp.concatenate([scan(a[:rest], b[:rest], ends[0], True), hs])
    return jnp.concatenate([hs, scan(a[-rest:], b[-rest:], ends[-1], False)])


WAYS = {"scan": scan, "associative": associative, "chunked": chunked}
