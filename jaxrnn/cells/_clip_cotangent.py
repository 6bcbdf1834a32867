"""Gradient clipping inside the recurrence."""

import functools
import math
import numbers
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._checks import describe
from jaxrnn._noise import check_no_state_dropout
from jaxrnn._precision import is_floating
from jaxrnn._types import Cell
from jaxrnn._unroll import check_cell


def clip_cotangent(cell: Cell, limit: float) -> Cell:
    """Clips the gradient with respect to the carry, element by element, at every step backward.

    So no step hands on more than `limit` to the step before it, whereas optax clips what is left
    after the whole sequence. Values are those of `cell`, and so are forward-mode derivatives.

    Args:
      cell: any cell.
      limit: the largest absolute value, above 0.

    Returns:
      A `Cell` with the parameters and the carry of `cell`.

    Raises:
      ValueError, TypeError: `limit` is not a number above 0, `cell` is no cell, or it is one of
        `jaxrnn.state_dropout`, which goes outside.

    References: after Graves, 2013, "Generating sequences with recurrent neural networks", who clips
    what enters the gates.
    """
    check_cell(cell)
    if not isinstance(limit, numbers.Real) or isinstance(limit, bool):
        raise TypeError(f"`limit` must be a number above 0, got {describe(limit)}.")
    if not 0 < limit < math.inf:
        raise ValueError(f"`limit` must be a finite number above 0, got {limit}.")

    def update(params, carry, u, v):
        check_no_state_dropout("clip_cotangent", carry)
        new, y = cell.update(params, carry, u, v)
        return jax.tree.map(clip, new), y

    def clip(leaf: Any):
        return _primitive().bind(leaf, limit=float(limit)) if is_floating(leaf) else leaf

    return cell._replace(update=update)


@functools.cache
def _primitive():
    """The identity, whose transpose clips.

    A `jax.custom_vjp` would do as much, but the derivative rule of an unroll could not linearise
    it. It is made when it is first used, for `jax.extend` takes long to import.
    """
    from jax.extend.core import Primitive
    from jax.interpreters import ad, batching, mlir

    def transpose(ct, x, *, limit):
        return [ct if type(ct) is ad.Zero else jnp.clip(ct, -limit, limit)]

    clip_p = Primitive("clip_cotangent")
    clip_p.def_impl(lambda x, *, limit: x)
    clip_p.def_abstract_eval(lambda x, *, limit: x)
    ad.deflinear2(clip_p, transpose)
    batching.defvectorized(clip_p)
    mlir.register_lowering(clip_p, lambda ctx, x, *, limit: [x])
    return clip_p
