"""How arrays go in and out of a TPU kernel, which reads tiles of at least two axes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Packing(NamedTuple):
    """The shape and dtype in which a kernel keeps an array, and those that a step sees.

    A scalar and a vector get axes of size 1, and a bool is kept as an integer.
    """

    shape: tuple[int, ...]
    dtype: Any
    seen_shape: tuple[int, ...]
    seen_dtype: Any

    @classmethod
    def of(cls, x: Any, is_column: bool) -> "Packing":
        """For an array at one step; a vector of a sequence is a column, as flags of rows are."""
        dtype = jnp.dtype(jnp.int32) if x.dtype == jnp.bool else x.dtype
        shape = tuple(x.shape)
        if len(shape) == 1:
            shape = (*shape, 1) if is_column else (1, *shape)
        return cls(shape or (1, 1), dtype, tuple(x.shape), x.dtype)

    def pack(self, x: jax.Array, lead: int = 0) -> jax.Array:
        """As the kernel keeps it; `lead` axes come first."""
        return x.astype(self.dtype).reshape(*x.shape[:lead], *self.shape)

    def unpack(self, x: jax.Array, lead: int = 0) -> jax.Array:
        """As a step sees it."""
        x = x.reshape(*x.shape[:lead], *self.seen_shape)
        return x != 0 if self.seen_dtype == jnp.bool else x


def result(like: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    """A result of a kernel, which varies in `jax.shard_map` over the axes that `like` varies on."""
    axes = jax.typeof(like).manual_axis_type
    return jax.ShapeDtypeStruct(shape, dtype, manual_axis_type=axes)
