"""What a cell and its carry are made of, as far as the derivative of an unroll wants to know."""

from typing import Any

import jax

from jaxrnn._precision import is_floating
from jaxrnn._types import Carry, Cell, Params

# Only floating leaves have tangents. A step counter, a mask or a random key in the carry or among
# the inputs has none: it stays what it is, and JAX writes its tangent as float0.


def floating(tree: Any) -> list[jax.Array]:
    """The leaves of `tree` that have a tangent, in order."""
    return [leaf for leaf in jax.tree.leaves(tree) if is_floating(leaf)]


def with_floating(tree: Any, leaves: list[jax.Array]) -> Any:
    """`tree` with those leaves replaced."""
    leaves = iter(leaves)
    return jax.tree.map(lambda leaf: next(leaves) if is_floating(leaf) else leaf, tree)


def projects_linearly(cell: Cell, params: Params, x: Any) -> bool:
    """Whether `project` is a product and what is added to it.

    Then its derivative needs nothing but what it was given. That of another one needs its products,
    and would have to make them again where they were made block by block.

    Args:
      cell: one that splits.
      params: its parameters; of these and of x, only shapes and dtypes are read.
      x: an example of one step.
    """
    kept = []  # sizes of what the derivative keeps, other than what was given

    def look(given, rest):
        us, tangent = jax.linearize(
            lambda given: floating(cell.project(*with_floating(rest, given))), given
        )
        known = set(map(id, given))
        kept.extend(leaf.size for leaf in jax.tree.leaves(tangent) if id(leaf) not in known)
        return us

    us = jax.eval_shape(look, floating((params, x)), (params, x))
    return sum(kept) < sum(u.size for u in us)


def takes_sum(cell: Cell, params: Params, carry: Carry, x: Any) -> bool:
    """Whether `update` takes of u and v nothing but their sum: one array to keep for two.

    Args: as of `projects_linearly`, and a carry.
    """
    u, v = jax.eval_shape(cell.project, params, x), jax.eval_shape(cell.recur, params, carry)
    u_leaves, v_leaves = jax.tree.leaves(u), jax.tree.leaves(v)
    places = [place for place, leaf in enumerate(u_leaves) if is_floating(leaf)]
    if len(places) != 1 or len(v_leaves) != 1 or not _are_alike(u_leaves[places[0]], v_leaves[0]):
        return False
    # Both are used once, as the terms of one sum.
    jaxpr = jax.make_jaxpr(cell.update)(params, carry, u, v).jaxpr
    *inputs, of_v = jaxpr.invars
    terms = {id(inputs[places[0] - len(u_leaves)]), id(of_v)}
    users = [eqn for eqn in jaxpr.eqns if not terms.isdisjoint(map(id, eqn.invars))]
    if [eqn.primitive.name for eqn in users] != ["add"]:
        return False
    return terms == set(map(id, users[0].invars)) and terms.isdisjoint(map(id, jaxpr.outvars))


def _are_alike(a, b):
    return (a.shape, a.dtype) == (b.shape, b.dtype)
