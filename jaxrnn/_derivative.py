"""The derivative of an unroll: one rule for every cell that splits.

A cell computes

    v_t = recur(θ, c_t)
    c_{t+1}, y_t = update(θ, c_t, u_t, v_t)

and `recur` is linear in c. Write ċ for a tangent of c, and so on. Differentiating both lines gives

    ċ_{t+1}, ẏ_t = ∂update/∂(c, v) · (ċ_t, recur(θ, ċ_t))  +  b_t

    b_t          = ∂update/∂(θ, u, v) · (θ̇, u̇_t, ∂recur/∂θ · θ̇)

Once the carries are known, no b_t waits for another: they are computed for all steps at once, with
time as a batch axis. What remains in the loop is a linear recurrence in ċ with one product a step,
`recur` itself. JAX transposes the two parts into backpropagation through time: the recurrence
becomes the backward loop, again with one product a step, and b becomes the weight gradients, one
product after the loop over all steps. The autodiff of a scan would add up the weight gradient
step by step inside the loop.

The rule is a `jax.custom_jvp`, so forward mode, second order and `vmap` work as for any function:
the carries on which the rule stands come from `trajectory` again, which brings this same rule.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._checks import example
from jaxrnn._loop import Loop, scan, scan_ahead, scan_blocks
from jaxrnn._precision import is_floating
from jaxrnn._structure import floating, takes_sum, with_floating
from jaxrnn._types import Carry, Cell, Params


class Trajectory(NamedTuple):
    carry: Carry  # after the last step
    ys: Any  # (T, ...)
    carries: Carry  # (T, ...), before each step
    us: list[jax.Array]  # (T, ...), the floating leaves of project of the inputs
    vs: Any  # (T, ...), recur of the carries; None where it has been added to `us`


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def trajectory(
    cell: Cell, loop: Loop, in_blocks: bool, params: Params, carry: Carry, xs: Any
) -> Trajectory:
    """Runs `cell`, and keeps what its derivative needs.

    Args:
      cell: one that splits.
      loop: the number of steps and their direction; one step at least where `in_blocks`.
      in_blocks: whether a CPU projects the inputs block by block. The derivative takes the tangent
        of `cell.project` over all steps, and should not need the products of it again.
      params: the parameters of `cell`.
      carry: the carry before the first step.
      xs: the inputs, (T, ...).
    """
    keeps_sum = takes_sum(cell, params, carry, example(xs))

    def body(params, carry, u):
        v = cell.recur(params, carry)
        new, y = cell.update(params, carry, u, v)
        us = floating(u)
        if keeps_sum:
            us, v = [us[0] + jax.tree.leaves(v)[0]], None
        return new, (y, carry, us, v)

    def at_once(params, carry, xs):
        us = cell.project(params, xs)
        carry, kept = scan_ahead(loop, functools.partial(body, params), carry, us)
        out = Trajectory(carry, *kept)
        # `us` are there: what the loop would keep of them is dead code to the compiler.
        return out if keeps_sum else out._replace(us=floating(us))

    def by_blocks(params, carry, xs):
        project, step = functools.partial(cell.project, params), functools.partial(body, params)
        carry, kept = scan_blocks(loop, project, step, carry, xs)
        return Trajectory(carry, *kept)

    if not in_blocks:
        return at_once(params, carry, xs)
    return jax.lax.platform_dependent(params, carry, xs, cpu=by_blocks, default=at_once)


@trajectory.defjvp
def _trajectory_jvp(cell, loop, in_blocks, primals, tangents):
    params, carry, xs = primals
    dparams, dcarry, dxs = tangents
    out = trajectory(cell, loop, in_blocks, params, carry, xs)
    projected, dus = jax.jvp(cell.project, (params, xs), (dparams, dxs))
    _, dvs = jax.jvp(lambda params: cell.recur(params, out.carries), (params,), (dparams,))
    us = with_floating(projected, out.us)  # u + v and 0 tell `update` the same as u and v
    vs = jax.tree.map(jnp.zeros_like, dvs) if out.vs is None else out.vs
    b_carry, b_y = _increments(cell, params, out.carries, us, vs, (dparams, dus, dvs))
    linear_maps = _linear_maps(cell, params, out.carries, us, vs)
    dlast, dys, dcarries = _recurrence(cell, loop, params, carry, dcarry, linear_maps, b_carry)
    dys = [dy + b for dy, b in zip(dys, b_y, strict=True)]
    dvs = jax.tree.map(jnp.add, dvs, cell.recur(params, with_floating(out.carries, dcarries)))
    dus, dvs = floating(dus), jax.tree.leaves(dvs)
    kept = [dus[0] + dvs[0]] if out.vs is None else [*dus, *dvs]
    return out, _tangent(out, [*dlast, *dys, *dcarries, *kept])


def _increments(cell, params, carries, us, vs, tangents):
    """b for the carry and for y, at all steps at once."""

    def update(params, us, vs):
        over_time = jax.vmap(functools.partial(_update, cell), in_axes=(None, 0, 0, 0))
        return over_time(params, carries, us, vs)

    return jax.jvp(update, (params, us, vs), tangents)[1]


def _linear_maps(cell, params, carries, us, vs):
    """∂update/∂(c, v), at all steps at once: a stack (T, ...) of functions (ċ, v̇) -> (ċ, ẏ).

    Where one holds a parameter as it is, such as a matrix by which `update` multiplies, only the
    place of it is kept: a stack would be T copies.
    """
    place = {id(leaf): _Place(i) for i, leaf in enumerate(jax.tree.leaves(params))}

    def linear_map(carry, u, v):
        def update(leaves, v):
            return _update(cell, params, with_floating(carry, leaves), u, v)

        _, linear = jax.linearize(update, floating(carry), v)
        return jax.tree.map(lambda leaf: place.get(id(leaf), leaf), linear)

    return jax.vmap(linear_map)(carries, us, vs)


def _recurrence(cell, loop, params, carry, dcarry, linear_maps, b_carry):
    """ċ after the last step; ẏ, but for its b, and ċ before each step, (T, ...)."""
    zeros = jax.tree.map(jnp.zeros_like, carry)

    def body(dcarry, step):
        linear_map, b = step
        linear_map = _with_parameters(linear_map, params)
        dv = cell.recur(params, with_floating(zeros, dcarry))
        dnew, dy = linear_map(dcarry, dv)
        return [d + b for d, b in zip(dnew, b, strict=True)], (dy, dcarry)

    dlast, (dys, dcarries) = scan(loop, body, floating(dcarry), (linear_maps, b_carry))
    return dlast, dys, dcarries


@jax.tree_util.register_static
class _Place(NamedTuple):
    """Of a parameter among the leaves of the parameters."""

    index: int


def _with_parameters(linear_map, params):
    """A linear map with the parameters in their places."""
    leaves = jax.tree.leaves(params)

    def is_place(leaf):
        return isinstance(leaf, _Place)

    def filled(leaf):
        return leaves[leaf.index] if is_place(leaf) else leaf

    return jax.tree.map(filled, linear_map, is_leaf=is_place)


def _update(cell, params, carry, u, v):
    """`update`, returning the leaves that have a tangent: those of the carry, and those of y."""
    new, y = cell.update(params, carry, u, v)
    return floating(new), floating(y)


def _tangent(tree: Any, leaves: list[jax.Array]) -> Any:
    """The tangent of `tree` whose floating leaves are these."""
    leaves = iter(leaves)
    none = jax.dtypes.float0
    return jax.tree.map(
        lambda leaf: next(leaves) if is_floating(leaf) else jnp.zeros(leaf.shape, none), tree
    )
