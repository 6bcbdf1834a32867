"""The derivative of an unroll: one rule for every cell and every engine.

A cell computes the carries

    v_t = recur(θ, c_t)
    c_{t+1} = update(θ, c_t, u_t, v_t)

and `recur` is linear in c. Write ċ for a tangent of c, and so on. Differentiating both lines gives

    ċ_{t+1} = ∂update/∂(c, v) · (ċ_t, recur(θ, ċ_t))  +  b_t

    b_t     = ∂update/∂(θ, u, v) · (θ̇, u̇_t, ∂recur/∂θ · θ̇)

Once the carries are known, no b_t waits for another: they are computed for all steps at once, with
time as a batch axis. What remains in the loop is a linear recurrence in ċ that multiplies by what
the step itself multiplies by. JAX transposes the two parts into backpropagation through time: the
recurrence becomes the backward loop, and b becomes the weight gradients, one product over all steps
after the loop. The autodiff of a scan would add up the weight gradient step by step in the loop.

`prepare` and `output` stand outside the rule, and so does `project`, unless a schedule calls it
within the loop. The rule is a `jax.custom_jvp`, so forward mode, second order and `vmap` work as
for any function: the carries on which it stands come from `states` again, with this same rule.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.dependency import floating, with_floating
from jaxrnn._core.loop import Loop, scan, varying_like
from jaxrnn._core.numerics import is_floating
from jaxrnn._core.stacking import stacked
from jaxrnn._core.types import Carry, Cell, Params


class States(NamedTuple):
    last: Carry  # after the last step
    before: Carry  # (T, ...), before each step
    after: Carry  # (T, ...), after each step
    kept: Any  # (T, ...), what tells `update` its u and v again


class Schedule(NamedTuple):
    """How the carries and their tangents are computed, and what is kept of u and v."""

    run: Callable  # (cell, loop, params, carry, xs) -> States
    keep: Callable  # (u, v) -> kept, linear: such as both, or a sum that `update` reads
    recall: Callable  # (kept, u, v) -> (u, v); reads only the structure of the given u and v
    recurrence: Callable = scan  # the linear recurrence: as `scan`, for a body of ċ and (maps, b)
    stack: Callable = stacked  # what is stacked over time to tell the maps


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def states(
    cell: Cell, loop: Loop, schedule: Schedule, params: Params, carry: Carry, xs: Any
) -> States:
    """The carries of `cell` over a sequence of at least one step."""
    return schedule.run(cell, loop, params, carry, xs)


@states.defjvp
def _states_jvp(cell, loop, schedule, primals, tangents):
    (params, carry, xs), (dparams, dcarry, dxs) = primals, tangents
    out = states(cell, loop, schedule, params, carry, xs)
    projected, dus = jax.jvp(cell.project, (params, xs), (dparams, dxs))
    _, dvs = jax.jvp(lambda params: cell.recur(params, out.before), (params,), (dparams,))
    us, vs = schedule.recall(out.kept, projected, dvs)

    def update(params, us, vs):
        over_time = jax.vmap(cell.update, in_axes=(None, 0, 0, 0))
        return floating(over_time(params, out.before, us, vs))

    _, b = jax.jvp(update, (params, us, vs), (dparams, dus, dvs))
    apply_maps, maps = _linear_maps(cell, schedule.stack, params, out.before, us, vs)

    def body(dcarry, step):
        linear_map, b = step
        dv = _recur(cell, params, carry, dcarry)
        dnew = [d + b for d, b in zip(apply_maps(linear_map, dcarry, dv), b, strict=True)]
        return dnew, (dcarry, dnew)

    dlast, (dbefore, dafter) = schedule.recurrence(loop, body, floating(dcarry), (maps, b))
    dvs = jax.tree.map(jnp.add, dvs, _recur(cell, params, out.before, dbefore))
    dkept = schedule.keep(dus, dvs)
    return out, _tangent(out, [*dlast, *dbefore, *dafter, *floating(dkept)])


def _recur(cell, params, carry, dcarry):
    """The derivative of `recur`, which is linear, along a tangent of the carry."""
    recur = functools.partial(cell.recur, params)
    return jax.jvp(
        lambda leaves: recur(with_floating(carry, leaves)), (floating(carry),), (dcarry,)
    )[1]


def _linear_maps(cell, stack, params, before, us, vs):
    """∂update/∂(c, v) at all steps at once: a function (map, ċ, v̇) -> ċ, and the maps (T, ...).

    A map is what the derivative keeps at a step, or what tells it, by the schedule.
    """
    steps = before, us, vs
    structure = None

    def leaves_of(params, step):
        nonlocal structure
        carry, u, v = step

        def update(leaves, v):
            return floating(cell.update(params, with_floating(carry, leaves), u, v))

        leaves, structure = jax.tree.flatten(jax.linearize(update, floating(carry), v)[1])
        return leaves

    recall, maps = stack(leaves_of, params, steps)

    def apply(step, dcarry, dv):
        return structure.unflatten(recall(step))(dcarry, dv)

    return apply, maps


def _tangent(tree: Any, leaves: list[jax.Array]) -> Any:
    """The tangent of `tree` whose floating leaves are these."""
    leaves, float0 = iter(leaves), jax.dtypes.float0

    def none(leaf):
        return varying_like(leaf, jnp.zeros(leaf.shape, float0))

    return jax.tree.map(lambda leaf: next(leaves) if is_floating(leaf) else none(leaf), tree)
