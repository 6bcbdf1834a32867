"""A carry as one vector, and parameters as a list of arrays, in the dtype of sums."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.dependency import floating, with_floating
from jaxrnn._core.numerics import sum_dtype


def wide_dtype(*trees: Any) -> np.dtype:
    """The dtype in which influences are kept: that of all floating leaves, but float32 at least."""
    return np.result_type(*(sum_dtype(leaf.dtype) for leaf in floating(trees)))


def to_leaves(tree: Any, dtype: Any) -> list[jax.Array]:
    """The floating leaves of `tree`, as `dtype`."""
    return [leaf.astype(dtype) for leaf in floating(tree)]


def from_leaves(tree: Any, leaves: list[jax.Array]) -> Any:
    """`tree` with these floating leaves, in its own dtypes."""
    pairs = zip(floating(tree), leaves, strict=True)
    return with_floating(tree, [new.astype(old.dtype) for old, new in pairs])


def to_vector(tree: Any, dtype: Any) -> jax.Array:
    """All numbers of the floating leaves of `tree`, (N,), as `dtype`."""
    return jnp.concatenate([leaf.reshape(-1) for leaf in to_leaves(tree, dtype)])


def from_vector(tree: Any, vector: jax.Array) -> Any:
    """`tree` with the numbers of a vector (N,) in its floating leaves."""
    parts = jnp.split(vector, block_ends(tree)[:-1])
    pairs = zip(floating(tree), parts, strict=True)
    return from_leaves(tree, [part.reshape(old.shape) for old, part in pairs])


def block_ends(tree: Any) -> list[int]:
    """Where each floating leaf of `tree` ends in its vector."""
    return np.cumsum([math.prod(leaf.shape) for leaf in floating(tree)]).tolist()
