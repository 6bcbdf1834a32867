"""Where the operands and the results of a kernel hold rows, so that devices can share them."""

from typing import Any

import jax

from jaxrnn.engines.kernel._operands import Flags, Primals, Result, Saved, States

_BY_KIND = {States: 0, Flags: 1, Saved: 1}


def row_axes(tree: Any) -> list[int | None]:
    """The axis of each array that holds rows, which are independent; weights have none."""
    if isinstance(tree, Primals):
        return [*_all(None, tree.weights), *_all(0, tree.states), *_all(1, tree.inputs)]
    if isinstance(tree, Result):
        return [*_all(0, tree.carry), *_all(1, tree.ys)]
    if type(tree) in _BY_KIND:
        return _all(_BY_KIND[type(tree)], tree)
    return [axis for part in tree for axis in row_axes(part)]


def _all(axis, tree):
    return [axis] * len(jax.tree.leaves(tree))
