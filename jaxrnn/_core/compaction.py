"""The real steps of a sequence, moved to its beginning."""

from typing import Any

import jax
import jax.numpy as jnp


def compacted(xs: Any, mask: jax.Array) -> tuple[Any, jax.Array]:
    """`xs` (T, ...) with the real steps of each row first, in order, and the mask of that."""
    order = jnp.argsort(~mask, axis=0, stable=True)

    def move(x):
        index = order.reshape(*order.shape, *(1,) * (x.ndim - order.ndim))
        return jnp.take_along_axis(x, index, axis=0)

    return jax.tree.map(move, xs), jnp.take_along_axis(mask, order, axis=0)
