"""A linear recurrence as one writes it in JAX alone."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

WAYS = "lax.scan", "lax.associative_scan"


def recurrence(way: str) -> Callable:
    """``(a, b) -> hs`` by one of `WAYS`."""

    def step(h, coefficients):
        a, b = coefficients
        h = a * h + b
        return h, h

    def after(first, second):
        (a1, b1), (a2, b2) = first, second
        return a2 * a1, a2 * b1 + b2

    if way == "lax.scan":
        return lambda a, b: lax.scan(step, jnp.zeros(a.shape[1:], a.dtype), (a, b))[1]
    return lambda a, b: lax.associative_scan(after, (a, b))[1]
