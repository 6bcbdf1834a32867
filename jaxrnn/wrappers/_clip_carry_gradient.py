"""Gradient clipping inside the recurrence."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_positive
from jaxrnn._core.entry import constructor
from jaxrnn._core.noise import check_no_state_dropout
from jaxrnn._core.numerics import is_floating
from jaxrnn._core.types import Cell, WholeStep, check_cell, is_whole

PRIMITIVE = "clip_carry_gradient"  # what its operation is called in a program


@constructor
def clip_carry_gradient(cell: Cell, limit: float) -> Cell:
    """Gradient clipping inside the recurrence, element by element at every step.

    No carry gradient exceeds `limit` in absolute value as it flows backward: what comes to a carry
    from the step after it and from its own output is clipped together. optax clips only what is
    left after the whole sequence. Values and forward-mode derivatives do not change.

    Args:
      cell: any cell.
      limit: the largest absolute value, above 0.

    Returns:
      A `Cell` with the parameters and the carry of `cell`.

    Raises:
      ValueError, TypeError: `limit` is not a number above 0, `cell` is not a `Cell`, or it comes
        from `jaxrnn.state_dropout`, which goes outside.

    References: after Graves, 2013, "Generating sequences with recurrent neural networks", who clips
    what enters the gates.

    Examples:
      >>> params = jaxrnn.cells.ElmanParams(jnp.ones((1, 1)), 2 * jnp.ones((1, 1)), None)
      >>> cell = jaxrnn.elman(1, jax.nn.relu, use_bias=False)  # h' = relu(x + 2 h)
      >>> def last(cell, h):
      ...     return jaxrnn.unroll(cell, params, jaxrnn.HiddenCarry(h), jnp.ones((10, 1)))[0].h[0]
      >>> jax.grad(last, argnums=1)(cell, jnp.ones(1)).tolist()
      [1024.0]
      >>> jax.grad(last, argnums=1)(jaxrnn.clip_carry_gradient(cell, 1.0), jnp.ones(1)).tolist()
      [2.0]
    """
    check_cell(cell)
    limit = check_positive("limit", limit)

    def update(params, carry, u, v):
        return clip_all(cell.update(params, carry, u, v))

    def step(params, carry, x):
        new, y = cell.update.step(params, carry, x)
        return clip_all(new), y

    def clip_all(carry):
        check_no_state_dropout("clip_carry_gradient", carry)
        return jax.tree.map(clip, carry)

    def clip(leaf: Any):
        return _primitive().bind(leaf, limit=limit) if is_floating(leaf) else leaf

    return cell._replace(update=WholeStep(step) if is_whole(cell) else update)


@functools.cache
def _primitive():
    """The identity, whose transpose clips.

    A `jax.custom_vjp` would do as much, but the derivative rule of an unroll could not linearize
    it. It is made when it is first used, because `jax.extend` takes long to import.
    """
    from jax.extend.core import Primitive
    from jax.interpreters import ad, batching, mlir

    def transpose(ct, x, *, limit):
        return [ct if type(ct) is ad.Zero else jnp.clip(ct, -limit, limit)]

    clip_p = Primitive(PRIMITIVE)
    clip_p.def_impl(lambda x, *, limit: x)
    clip_p.def_abstract_eval(lambda x, *, limit: x)
    ad.deflinear2(clip_p, transpose)
    batching.defvectorized(clip_p)
    mlir.register_lowering(clip_p, lambda ctx, x, *, limit: [x])
    return clip_p
