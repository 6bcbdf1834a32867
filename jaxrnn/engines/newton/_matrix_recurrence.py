"""A linear recurrence of vectors, by matrices, in parallel over time.

    h_t = A_t h_{t-1} + b_t

Two steps in a row are one step of the same kind, so log2(T) rounds of pairs make all h_t. All h_t
solve one system of equations, (1 - A shifted) h = b. Its derivatives and its transpose are systems
of the same kind, so no derivative keeps the products of a round.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn._core.loop import Loop, scan, varying_like
from jaxrnn.engines.newton._rows import before


def solved(a: jax.Array, b: jax.Array, *, reverse: bool) -> jax.Array:
    """All states, from a state of zeros; for use in an iteration, and not differentiated.

    Args:
      a: (T, ..., n, n).
      b: (T, ..., n).
      reverse: whether the last step runs first.

    Returns:
      (T, ..., n). Products of many steps may overflow, and then states are not finite.
    """

    def after(first, second):
        (a1, b1), (a2, b2) = first, second
        return _matmul(a2, a1), _apply(a2, b1) + b2

    return lax.associative_scan(after, (a, b), reverse=reverse)[1]


def recurrence(a: jax.Array, b: jax.Array, h0: jax.Array, *, reverse: bool) -> jax.Array:
    """`solved` from the state h0 (..., n), with derivatives of any order.

    Where products overflow it runs step by step.
    """
    b = b + _apply(a, before(jnp.zeros_like(b), h0, reverse=reverse))

    def equations(h):
        return h - _apply(a, before(h, jnp.zeros_like(h[0]), reverse=reverse))

    def solve(_, b):
        return _by_either(a, b, reverse)

    def solve_transposed(_, b):
        # h_t = Aᵀ_{t+1} h_{t+1} + b_t
        transposed = before(jnp.swapaxes(a, -1, -2), jnp.zeros_like(a[0]), reverse=not reverse)
        return _by_either(transposed, b, not reverse)

    return lax.custom_linear_solve(equations, b, solve, solve_transposed)


def _by_either(a, b, reverse):
    h = solved(a, b, reverse=reverse)
    return redone_unless(jnp.isfinite(h).all(), h, functools.partial(_stepwise, a, b, reverse))


def _stepwise(a, b, reverse):
    def step(h, coefficients):
        a, b = coefficients
        h = _apply(a, h) + b
        return h, h

    first = varying_like((a, b), jnp.zeros_like(b[0]))
    return scan(Loop(len(b), reverse), step, first, (a, b))[1]


def redone_unless(flag: jax.Array, result: jax.Array, redo) -> jax.Array:
    """`result` where `flag` is true, else ``redo()``.

    A loop of at most one turn: under `jax.vmap` a `jax.lax.cond` would always run `redo`.
    """
    state = varying_like((flag, result), (flag, result))
    return lax.while_loop(lambda s: ~s[0], lambda s: (s[0] | True, redo()), state)[1]


def _matmul(a, b):
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def _apply(a, h):
    return _matmul(a, h[..., None])[..., 0]
