"""The carry of a row as one vector of n floats, so that a derivative is a matrix (n, n)."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Rows(NamedTuple):
    """How the leaves of a carry, (..., *features) with any batch axes first, are vectors (..., n).

    Attributes:
      structure: of the carry.
      features: the axes of each leaf after its batch axes.
    """

    structure: Any
    features: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, carry: Any, num_batch_axes: int) -> "Rows":
        """Those of `carry`, or of its shapes."""
        leaves, structure = jax.tree.flatten(carry)
        return cls(structure, tuple(leaf.shape[num_batch_axes:] for leaf in leaves))

    @property
    def size(self) -> int:
        """n."""
        return sum(map(math.prod, self.features))

    def join(self, carry: Any) -> jax.Array:
        """The vectors (..., n) of a carry with any leading axes."""
        leaves = zip(jax.tree.leaves(carry), self.features, strict=True)
        flat = [leaf.reshape(*_lead(leaf, axes), math.prod(axes)) for leaf, axes in leaves]
        return jnp.concatenate(flat, axis=-1)

    def split(self, rows: jax.Array) -> Any:
        """The carry of vectors (..., n)."""
        leaves, start = [], 0
        for axes in self.features:
            leaf = rows[..., start : start + math.prod(axes)]
            leaves.append(leaf.reshape(*rows.shape[:-1], *axes))
            start += math.prod(axes)
        return self.structure.unflatten(leaves)


def _lead(leaf, axes):
    return leaf.shape[: leaf.ndim - len(axes)]


def before(rows: jax.Array, first: jax.Array, *, reverse: bool) -> jax.Array:
    """From the rows after each step, (T, ...), those before it; `first` is before the first."""
    if reverse:
        return jnp.concatenate([rows[1:], first[None]])
    return jnp.concatenate([first[None], rows[:-1]])
