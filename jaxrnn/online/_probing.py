"""Weighted sums over the units of the derivative of a step, at random points."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.timed import Timed
from jaxrnn._core.types import Cell, Params
from jaxrnn.online._row import next_carry
from jaxrnn.online._vectors import (
    block_ends,
    from_leaves,
    from_vector,
    to_leaves,
    to_vector,
    wide_dtype,
)

NUM_POINTS = 32  # a unit of relu may be silent at one, and hardly at all of them


def sums_over_points(cell: Cell, params: Params, x: Any, questions: jax.Array) -> list[jax.Array]:
    """The sums of a², a b and a c over points, where a, b and c are three weighted sums over units.

    Squares, as terms of both signs could cancel.

    Args:
      cell: whose derivative with respect to the parameters is asked for.
      params: parameters, of which the values do not matter.
      x: one input, of which the values do not matter.
      questions: (L, 3, N), the weights of the three sums for each block of units.

    Returns:
      For each array of the parameters, (L, 3, ...).
    """
    wide = wide_dtype(params)

    def add_point(total, count):
        near, at, before = _point(cell, params, x, count)

        def response(leaves):
            """All numbers that depend on the parameters: the next carry, and the initial one."""
            params = from_leaves(near, leaves)
            initial = to_vector(cell.init_carry(params, at), wide)
            return to_vector(next_carry(cell, params, before, at), wide) + 0.7 * initial

        _, pull = jax.vjp(response, to_leaves(near, wide))
        (answers,) = jax.vmap(jax.vmap(pull))(questions.astype(wide))
        return [sums + a * a[:, :1] for sums, a in zip(total, answers, strict=True)], None

    lead = questions.shape[:2]
    zeros = [jnp.zeros((*lead, *leaf.shape), wide) for leaf in to_leaves(params, wide)]
    return jax.lax.scan(add_point, zeros, jnp.arange(NUM_POINTS, dtype=jnp.int32))[0]


def _point(cell, params, x, count):
    """Parameters, an input and a carry at random; the points differ by their `count`."""
    trees = params, x, cell.init_carry(params, x)
    key = jax.random.fold_in(jax.random.key(0), count)
    noise = jax.random.normal(key, (block_ends(trees)[-1],), wide_dtype(trees))
    params, x, carry = from_vector(trees, noise)
    return params, _forward_in_time(x), jax.tree.map(lambda leaf: _counted(leaf, count), carry)


def _counted(leaf, count):
    """Counters are other at each point too: some cells do not update all units at all steps."""
    is_count = jnp.issubdtype(leaf.dtype, jnp.integer)
    return leaf + count.astype(leaf.dtype) if is_count else leaf


def _forward_in_time(x):
    """Inputs whose time gaps, if they have any, are positive."""

    def forward(node):
        return node._replace(dt=jnp.abs(node.dt)) if isinstance(node, Timed) else node

    return jax.tree.map(forward, x, is_leaf=lambda node: isinstance(node, Timed))
