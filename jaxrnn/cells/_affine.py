"""The state equation of every linear cell."""

from typing import Any, NamedTuple

import jax

from jaxrnn._core.types import Carry, Params


class Affine(NamedTuple):
    """What a linear cell projects: the coefficients of h' = a h + b, and what its output reads.

    Attributes:
      a: with the structure and the shapes of the carry.
      b: the same.
      extra: anything; only `output` reads it.
    """

    a: Any
    b: Any
    extra: Any = ()


def affine_update(params: Params, carry: Carry, u: Affine, v: tuple) -> Carry:
    """h' = a h + b, element by element: the `update` of every linear cell.

    Engines that run a linear recurrence in parallel over time know it by this very function,
    beside ``recur=nothing``.
    """
    return jax.tree.map(lambda a, h, b: a * h + b, u.a, carry, u.b)
