"""What the derivative keeps of all steps, stacked over time."""

from collections.abc import Callable
from typing import Any

import jax

from jaxrnn._core.dependency import dependent
from jaxrnn._core.loop import shape_like
from jaxrnn._core.types import Params


def stacked(leaves_of: Callable, params: Params, steps: Any) -> tuple[Callable, list]:
    """What ``leaves_of(params, step)`` returns at all steps, each leaf stacked over time.

    What depends on the parameters alone, such as a matrix by which `update` multiplies, or a slice
    of one, is kept once: a stack would be T copies.

    Returns:
      A function from the leaves stacked, at one step, to all leaves; and the stacks (T, ...).
    """
    with jax.disable_jit(False):  # in a program, an array that is there twice is kept twice
        varies = dependent(leaves_of, params, one_of(steps))
        run = jax.jit(leaves_of, inline=True)
        leaves = jax.vmap(run, (None, 0), [0 if f else None for f in varies])(params, steps)
    once = [None if flag else leaf for leaf, flag in zip(leaves, varies, strict=True)]

    def recall(step):
        step = iter(step)
        return [next(step) if flag else leaf for leaf, flag in zip(once, varies, strict=True)]

    return recall, [leaf for leaf, flag in zip(leaves, varies, strict=True) if flag]


def one_of(steps: Any) -> Any:
    """The shapes of one step of sequences (T, ...)."""
    return jax.tree.map(lambda x: shape_like(x, x.shape[1:], x.dtype), steps)
