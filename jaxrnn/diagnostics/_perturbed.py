"""A cell that adds an input to its carry before each step, to differentiate with respect to it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.dependency import floating, with_floating
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import is_floating
from jaxrnn._core.types import Cell, WholeStep, is_whole


@constructor
def perturbed(cell: Cell) -> Cell:
    """`cell` for inputs ``(x, zeros)``, where the zeros are added to the carry before the step."""

    def init(key, x):
        return cell.init(key, x[0])

    def init_carry(params, x):
        return cell.init_carry(params, x[0])

    def project(params, x):
        x, zeros = x
        return cell.project(params, x), zeros, _recur_of_zeros(cell.recur, params, zeros)

    def update(params, carry, u, v):
        u, zeros, dv = u
        return cell.update(params, _add(carry, zeros), u, jax.tree.map(jnp.add, v, dv))

    def output(params, carry, u):
        return cell.output(params, carry, u[0])

    def step(params, carry, x):
        x, zeros = x
        return cell.update.step(params, _add(carry, zeros), x)

    if is_whole(cell):
        return cell._replace(init=init, init_carry=init_carry, update=WholeStep(step))
    return cell._replace(
        init=init, init_carry=init_carry, project=project, update=update, output=output
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _recur_of_zeros(recur, params, zeros):
    """What zeros in the carry add to v: nothing, without a product; but it has a derivative."""
    v = jax.eval_shape(recur, params, zeros)
    return jax.tree.map(zeros_like, v)


@_recur_of_zeros.defjvp
def _recur_of_zeros_jvp(recur, primals, tangents):
    params, zeros = primals
    leaves, structure = jax.tree.flatten(zeros)
    pairs = zip(leaves, structure.flatten_up_to(tangents[1]), strict=True)
    dleaves = [dleaf for leaf, dleaf in pairs if is_floating(leaf)]

    def of(leaves):
        return recur(params, with_floating(zeros, leaves))

    _, dv = jax.jvp(of, (floating(zeros),), (dleaves,))
    return _recur_of_zeros(recur, params, zeros), dv


def _add(carry, zeros):
    pairs = zip(floating(carry), floating(zeros), strict=True)
    return with_floating(carry, [leaf + zero for leaf, zero in pairs])


def zeros_like(leaf: Any, *lead: int) -> jax.Array:
    """Zeros of the shape and dtype of `leaf`, with more leading axes."""
    return jnp.zeros((*lead, *leaf.shape), leaf.dtype)
