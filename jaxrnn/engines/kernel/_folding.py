"""`jax.vmap` of a kernel: the mapped axis joins the batch, and one call does it all."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

STATE_AXIS, SEQUENCE_AXIS = 0, 1  # of the batch


def foldable(function: Callable) -> Callable:
    """`function` with a rule for `jax.vmap`.

    Args:
      function: ``(weights, states, sequences) -> (states, sequences)``, each a pytree of arrays:
        weights without a batch axis, states (B, ...), sequences (T, B, ...).

    Returns:
      The same function. Where only states and sequences are mapped, it is called once on all rows;
      where weights are mapped too, once for each index of the mapped axis.
    """

    @functools.wraps(function)
    @jax.custom_batching.custom_vmap
    def call(weights, states, sequences):
        return function(weights, states, sequences)

    @call.def_vmap
    def rule(size, is_mapped, *args):
        run = one_by_one if any(jax.tree.leaves(is_mapped[0])) else folded
        out = run(call, size, is_mapped, args)
        return out, jax.tree.map(lambda _: True, out)

    return call


def folded(call: Callable, size: int, is_mapped: Any, args: tuple) -> Any:
    """One call for all; a leaf of `args` has the mapped axis first where `is_mapped` is True."""
    weights, states, sequences = args
    states = _fold(size, STATE_AXIS, is_mapped[1], states)
    sequences = _fold(size, SEQUENCE_AXIS, is_mapped[2], sequences)
    states, sequences = call(weights, states, sequences)
    return _unfold(size, STATE_AXIS, states), _unfold(size, SEQUENCE_AXIS, sequences)


def one_by_one(call: Callable, size: int, is_mapped: Any, args: Any) -> Any:
    """A call for each index of the mapped axis."""
    leaves, structure = jax.tree.flatten(args)
    flags = jax.tree.leaves(is_mapped)

    def at(index):
        each = (
            jax.lax.dynamic_index_in_dim(leaf, index, keepdims=False) if flag else leaf
            for leaf, flag in zip(leaves, flags, strict=True)
        )
        return call(*structure.unflatten(each))

    return jax.lax.map(at, jnp.arange(size))


def _fold(size, axis, is_mapped, tree):
    def fold(flag, leaf):
        if not flag:
            leaf = jnp.broadcast_to(leaf, (size, *leaf.shape))
        leaf = jnp.moveaxis(leaf, 0, axis)
        return leaf.reshape(
            *leaf.shape[:axis], size * leaf.shape[axis + 1], *leaf.shape[axis + 2 :]
        )

    return jax.tree.map(fold, is_mapped, tree)


def _unfold(size, axis, tree):
    def unfold(leaf):
        batch = leaf.shape[axis] // size
        leaf = leaf.reshape(*leaf.shape[:axis], size, batch, *leaf.shape[axis + 1 :])
        return jnp.moveaxis(leaf, axis, 0)

    return jax.tree.map(unfold, tree)
