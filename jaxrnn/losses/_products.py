"""Products that infinity and NaN enter only where they should."""

from typing import Any

import jax
import jax.numpy as jnp


def times(weight: Any, values: jax.Array) -> jax.Array:
    """`weight` * `values`, where zero times infinity is zero, also in the gradient."""
    return weight * jnp.where((weight == 0) & jnp.isinf(values), 0, values)


def nan_unless(is_right: jax.Array, values: jax.Array) -> jax.Array:
    """`values`, and NaN where not `is_right`, also in the gradient."""
    return values * jnp.where(is_right, 1, jnp.nan).astype(values.dtype)
