"""Schedules of the derivative rule: which order of the work is fast on a CPU, and what it keeps."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn._core.dependency import floating, with_floating
from jaxrnn._core.derivative import Schedule, States
from jaxrnn._core.loop import Loop, scan_ahead, varying_like
from jaxrnn._core.types import Cell

# Steps of a block. Forward on 2 cores of an AMD EPYC, with 2 an LSTM 32 x 256 took 20 % longer than
# with 4, and with 8 an LSTM 32 x 128 took 40 % longer.
BLOCK = 4


def _recall_both(kept, projected, v):
    us, vs = kept
    return with_floating(projected, us), vs


def _keep_both(u, v):
    return floating(u), v


def _keep_sum(u, v):
    (u,), (v,) = floating(u), jax.tree.leaves(v)
    return u + v


def _recall_sum(kept, projected, v):
    """u + v and 0, which tell `update` the same as u and v."""
    return with_floating(projected, [kept]), jax.tree.map(jnp.zeros_like, v)


def _step(cell, keep, params, carry, u):
    v = cell.recur(params, carry)
    new = cell.update(params, carry, u, v)
    return new, (carry, new, keep(u, v))


def _at_once(keep, cell, loop, params, carry, xs):
    """The inputs of all steps are projected by one product before the loop."""
    us = cell.project(params, xs)
    step = functools.partial(_step, cell, keep, params)
    last, (before, after, kept) = scan_ahead(loop, step, carry, us)
    if keep is _keep_both:
        kept = floating(us), kept[1]  # `us` are there: the loop need not copy them
    return States(last, before, after, kept)


def _in_blocks(keep, cell, loop, params, carry, xs):
    """On a CPU, the inputs are projected block by block within the loop."""

    def blocks(params, carry, xs):
        project = functools.partial(cell.project, params)
        step = functools.partial(_step, cell, keep, params)
        last, kept = scan_blocks(loop, project, step, carry, xs)
        return States(last, *kept)

    at_once = functools.partial(_at_once, keep, cell, loop)
    return lax.platform_dependent(params, carry, xs, cpu=blocks, default=at_once)


def _made_of(run, keep, recall):
    return Schedule(functools.partial(run, keep), keep, recall)


_SCHEDULES = {
    (False, False): _made_of(_at_once, _keep_both, _recall_both),
    (False, True): _made_of(_at_once, _keep_sum, _recall_sum),
    (True, False): _made_of(_in_blocks, _keep_both, _recall_both),
    (True, True): _made_of(_in_blocks, _keep_sum, _recall_sum),
}


def schedule(*, in_blocks: bool, keeps_sum: bool) -> Schedule:
    """The schedule with these properties: the same object at each call, as JAX compares it."""
    return _SCHEDULES[in_blocks, keeps_sum]


def made_of(run: Callable, *, keeps_sum: bool) -> Schedule:
    """A schedule that keeps u and v, or their sum.

    Args:
      run: ``(keep, cell, loop, params, carry, xs) -> States``, whose `kept` is ``keep(u, v)``.
      keeps_sum: whether `update` reads only the sum.
    """
    return _made_of(run, *((_keep_sum, _recall_sum) if keeps_sum else (_keep_both, _recall_both)))


def keeping_both(run: Callable, recurrence: Callable) -> Schedule:
    """The schedule of an engine that computes the carries, and their tangents, in its own way.

    Args:
      run: ``(cell, loop, params, carry, us) -> States``, whose `kept` are the floats of u, and v.
      recurrence: as in `Schedule`.
    """
    return Schedule(run, _keep_both, _recall_both, recurrence)


def projected(cell: Cell) -> Cell:
    """`cell` for inputs that it has projected already."""
    return cell._replace(project=_given)


def _given(params, u):
    return u


def scan_blocks(
    loop: Loop, project: Callable, body: Callable, carry: Any, xs: Any
) -> tuple[Any, Any]:
    """A scan of ``body(carry, u)`` over ``us = project(xs)``, without an array of all the us.

    The loop goes over blocks of `BLOCK` steps. It projects a block, and its steps are written out
    one after the other, so that their slices lie at places that the compiler knows: it vectorizes
    what reads them without the copies of `scan_ahead`. It takes at least one step.
    """

    def run(carry, ys, first, count):
        us = project(jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, first, count), xs))
        of_steps = [None] * count
        for t in _in_order(loop, range(count)):
            carry, of_steps[t] = body(carry, jax.tree.map(lambda u, t=t: u[t], us))
        of_steps = jax.tree.map(lambda *steps: jnp.stack(steps), *of_steps)
        return carry, jax.tree.map(
            lambda y, new: lax.dynamic_update_slice_in_dim(y, new, first, 0), ys, of_steps
        )

    def run_block(state, number):
        return run(*state, number * BLOCK, BLOCK), None

    def run_blocks(state):
        return lax.scan(run_block, state, jnp.arange(count), reverse=loop.reverse)[0]

    def run_rest(state):
        return run(*state, count * BLOCK, rest)

    count, rest = divmod(loop.length, BLOCK)
    example = jax.tree.map(lambda x: x[:1], xs)
    _, y = jax.eval_shape(lambda: body(carry, jax.tree.map(lambda u: u[0], project(example))))
    zeros = jax.tree.map(lambda y: jnp.zeros((loop.length, *y.shape), y.dtype), y)
    state = carry, varying_like(y, zeros)
    for part in _in_order(loop, [run_blocks] * (count > 0) + [run_rest] * (rest > 0)):
        state = part(state)
    return state


def _in_order(loop, items):
    """`items` in the order in which the loop comes to them."""
    return items[::-1] if loop.reverse else items
