"""What a schedule asks about a cell."""

from typing import Any

import jax

from jaxrnn._core.dependency import floating, reads, with_floating
from jaxrnn._core.numerics import is_floating
from jaxrnn._core.types import Carry, Cell, Params, hidden


def projects_linearly(cell: Cell, params: Params, x: Any) -> bool:
    """Whether `project` is a product and what is added to it.

    Then its derivative needs only the arguments. Another one needs its products, and would have to
    make them again where they were made block by block.

    Args:
      cell: a `Cell`.
      params: its parameters; only the shapes and dtypes of these and of x are read.
      x: an example of one step.
    """
    kept = []  # sizes of what the derivative keeps besides the arguments

    def look(given, rest):
        us, tangent = jax.linearize(
            lambda given: floating(cell.project(*with_floating(rest, given))), given
        )
        known = set(map(id, given))
        kept.extend(leaf.size for leaf in jax.tree.leaves(tangent) if id(leaf) not in known)
        return us

    us = jax.eval_shape(look, floating((params, x)), (params, x))
    return sum(kept) < sum(u.size for u in us)


def reads_projections(cell: Cell, params: Params, carry: Carry, u: Any) -> bool:
    """Whether `output` reads floats of u.

    Args: as for `projects_linearly`, a carry, and u of one step.
    """

    def output(fixed, leaves):
        params, carry, u = fixed
        return cell.output(params, carry, with_floating(u, leaves))

    return cell.output is not hidden and reads(output, (params, carry, u), floating(u))


def takes_sum(cell: Cell, params: Params, carry: Carry, x: Any) -> bool:
    """Whether `update` reads only the sum of u and v: one array to keep instead of two.

    Args: as for `projects_linearly`, and a carry.
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
