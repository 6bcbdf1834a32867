"""The state equation of every linear cell."""

from typing import Any, NamedTuple

import jax

from jaxrnn._core.types import Carry, Params


class Affine(NamedTuple):
    """The projection of a linear cell: the coefficients of h' = a h + b, and inputs of `output`.

    Attributes:
      a: has the structure and shapes of the carry.
      b: like a.
      extra: anything; only `output` reads it.
    """

    a: Any
    b: Any
    extra: Any = ()


def affine_update(params: Params, carry: Carry, u: Affine, v: tuple) -> Carry:
    """h' = a h + b, element by element: the `update` of every linear cell.

    Engines that run linear recurrences in parallel over time recognize a linear cell by this
    function, together with ``recur=nothing``.

    Args:
      params: not read.
      carry: h, any pytree.
      u: an `Affine`.
      v: (), from ``recur=nothing``.

    Examples:
      >>> u = jaxrnn.authoring.Affine(a=jnp.array([0.5, 1.0]), b=jnp.array([1.0, 2.0]))
      >>> h = jnp.array([4.0, 4.0])
      >>> jaxrnn.authoring.affine_update(None, h, u, ()).tolist()
      [3.0, 6.0]
    """
    return jax.tree.map(lambda a, h, b: a * h + b, u.a, carry, u.b)
