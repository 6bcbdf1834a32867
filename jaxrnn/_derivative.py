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

from jaxrnn._loop import Loop, scan, scan_ahead
from jaxrnn._precision import is_floating
from jaxrnn._types import Carry, Cell, Params


class Trajectory(NamedTuple):
    carry: Carry  # after the last step
    ys: Any  # (T, ...)
    carries: Carry  # (T, ...), before each step
    vs: Any  # (T, ...), recur of them


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def trajectory(cell: Cell, loop: Loop, params: Params, carry: Carry, us: Any) -> Trajectory:
    """Runs `cell` over projected inputs, and keeps what its derivative needs.

    Args:
      cell: one that splits.
      loop: the number of steps and their direction.
      params: the parameters of `cell`.
      carry: the carry before the first step.
      us: ``cell.project`` of the inputs, (T, ...).
    """

    def body(carry, u):
        v = cell.recur(params, carry)
        new, y = cell.update(params, carry, u, v)
        return new, (y, carry, v)

    carry, (ys, carries, vs) = scan_ahead(loop, body, carry, us)
    return Trajectory(carry, ys, carries, vs)


@trajectory.defjvp
def _trajectory_jvp(cell, loop, primals, tangents):
    params, carry, us = primals
    dparams, dcarry, dus = tangents
    out = trajectory(cell, loop, params, carry, us)
    dvs, (b_carry, b_y) = _increments(cell, params, us, out, dparams, dus)
    linear_maps = _linear_maps(cell, params, us, out)
    dlast, dys, dcarries = _recurrence(cell, loop, params, carry, dcarry, linear_maps, b_carry)
    dys = [dy + b for dy, b in zip(dys, b_y, strict=True)]
    dvs = jax.tree.map(jnp.add, dvs, cell.recur(params, _with_floating(out.carries, dcarries)))
    return out, _tangent(out, [*dlast, *dys, *dcarries, *jax.tree.leaves(dvs)])


def _increments(cell, params, us, out, dparams, dus):
    """∂recur/∂θ · θ̇, and b for the carry and for y, at all steps at once."""

    def recur(params):
        return cell.recur(params, out.carries)

    def update(params, us, vs):
        over_time = jax.vmap(functools.partial(_update, cell), in_axes=(None, 0, 0, 0))
        return over_time(params, out.carries, us, vs)

    _, dvs = jax.jvp(recur, (params,), (dparams,))
    _, b = jax.jvp(update, (params, us, out.vs), (dparams, dus, dvs))
    return dvs, b


def _linear_maps(cell, params, us, out):
    """∂update/∂(c, v), at all steps at once: a stack (T, ...) of functions (ċ, v̇) -> (ċ, ẏ).

    Where one holds a parameter as it is, such as a matrix by which `update` multiplies, only the
    place of it is kept: a stack would be T copies.
    """
    place = {id(leaf): _Place(i) for i, leaf in enumerate(jax.tree.leaves(params))}

    def linear_map(carry, u, v):
        def update(floating, v):
            return _update(cell, params, _with_floating(carry, floating), u, v)

        _, linear = jax.linearize(update, _floating(carry), v)
        return jax.tree.map(lambda leaf: place.get(id(leaf), leaf), linear)

    return jax.vmap(linear_map)(out.carries, us, out.vs)


def _recurrence(cell, loop, params, carry, dcarry, linear_maps, b_carry):
    """ċ after the last step; ẏ, but for its b, and ċ before each step, (T, ...)."""
    zeros = jax.tree.map(jnp.zeros_like, carry)

    def body(dcarry, step):
        linear_map, b = step
        linear_map = _with_parameters(linear_map, params)
        dv = cell.recur(params, _with_floating(zeros, dcarry))
        dnew, dy = linear_map(dcarry, dv)
        return [d + b for d, b in zip(dnew, b, strict=True)], (dy, dcarry)

    dlast, (dys, dcarries) = scan(loop, body, _floating(dcarry), (linear_maps, b_carry))
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
    return _floating(new), _floating(y)


# Only floating leaves have tangents. A step counter, a mask or a random key in the carry or among
# the inputs has none: it stays what it is, and JAX writes its tangent as float0.


def _floating(tree: Any) -> list[jax.Array]:
    """The leaves of `tree` that have a tangent, in order."""
    return [leaf for leaf in jax.tree.leaves(tree) if is_floating(leaf)]


def _with_floating(tree: Any, floating: list[jax.Array]) -> Any:
    """`tree` with those leaves replaced."""
    floating = iter(floating)
    return jax.tree.map(lambda leaf: next(floating) if is_floating(leaf) else leaf, tree)


def _tangent(tree: Any, floating: list[jax.Array]) -> Any:
    """The tangent of `tree` whose floating leaves are these."""
    floating = iter(floating)
    none = jax.dtypes.float0
    return jax.tree.map(
        lambda leaf: next(floating) if is_floating(leaf) else jnp.zeros(leaf.shape, none), tree
    )
