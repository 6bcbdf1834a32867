"""A cell that adds an input to its carry before each step, to differentiate with respect to it."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.dependency import floating, with_floating
from jaxrnn._core.entry import constructor
from jaxrnn._core.types import Cell, WholeStep, is_whole, nothing
from jaxrnn.cells._affine import Affine, affine_update


@constructor
def perturbed(cell: Cell) -> Cell:
    """`cell` for inputs ``(x, zeros)``, where the zeros are added to the carry before the step."""

    def init(key, x):
        return cell.init(key, x[0])

    def init_carry(params, x):
        return cell.init_carry(params, x[0])

    if is_whole(cell):
        changed = {"update": WholeStep(_step(cell.update.step))}
    elif cell.update is affine_update and cell.recur is nothing:
        changed = _affine(cell)
    else:
        changed = _in_update(cell)
    return cell._replace(init=init, init_carry=init_carry, **changed)


def _step(step):
    def run(params, carry, x):
        return step(params, _add(carry, x[1]), x[0])

    return run


def _affine(cell):
    """a (h + z) + b = a h + (b + a z): still a linear cell, which runs in parallel over time."""

    def project(params, x):
        u, zeros = cell.project(params, x[0]), x[1]
        return Affine(u.a, _add(u.b, jax.tree.map(jnp.multiply, u.a, zeros)), u)

    def output(params, carry, u):
        return cell.output(params, carry, u.extra)

    return {"project": project, "output": output}


def _in_update(cell):
    """The cell with its `recur` in its `update`, which is given the zeros, as `recur` is not.

    In its place, `recur` is there for the gradient of its weights, which nobody asks for here.
    """

    def project(params, x):
        return cell.project(params, x[0]), x[1]

    def update(params, carry, u, v):
        u, zeros = u
        carry = _add(carry, zeros)
        return cell.update(params, carry, u, cell.recur(params, carry))

    def output(params, carry, u):
        return cell.output(params, carry, u[0])

    return {"project": project, "recur": nothing, "update": update, "output": output}


def _add(carry, zeros):
    pairs = zip(floating(carry), floating(zeros), strict=True)
    return with_floating(carry, [_plus_zero(leaf, zero) for leaf, zero in pairs])


@jax.custom_jvp
def _plus_zero(leaf, zero):
    """The sum. It does not read the zero, which is there for its derivative."""
    return leaf


@_plus_zero.defjvp
def _plus_zero_jvp(primals, tangents):
    return primals[0], tangents[0] + tangents[1]


def zeros_like(leaf: Any, *lead: int) -> jax.Array:
    """Zeros of the shape and dtype of `leaf`, with more leading axes."""
    return jnp.zeros((*lead, *leaf.shape), leaf.dtype)
