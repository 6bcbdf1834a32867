"""What stands before each step, told by what stands after each."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.engines.kernel._operands import Recurrence


class Past(NamedTuple):
    """What stands before the steps of an array that holds what stands after each.

    Attributes:
      first: (B, M), before the first step.
      initial: (B, M), what resets restore; None without resets.
      resets: True where they do, (T, B) or None.
    """

    first: jax.Array
    initial: jax.Array | None
    resets: jax.Array | None


def before(
    recurrence: Recurrence, past: Past | None, a: jax.Array, mask: jax.Array | None
) -> jax.Array:
    """What stands before each step, from what stands after each real one."""
    if past is None:
        return a
    if mask is None and past.resets is None:
        rows = (a[1:], past.first[None]) if recurrence.reverse else (past.first[None], a[:-1])
        return jnp.concatenate(rows)

    def step(last, at):
        after, is_real, is_reset = at
        here = last if is_reset is None else jnp.where(is_reset[:, None], past.initial, last)
        return (after if is_real is None else jnp.where(is_real[:, None], after, last)), here

    flags = a, mask, past.resets
    return jax.lax.scan(step, past.first, flags, reverse=recurrence.reverse)[1]
