"""tanh with a derivative that keeps one array."""

import jax
import jax.numpy as jnp


@jax.custom_jvp
def tanh(x: jax.Array) -> jax.Array:
    """`jnp.tanh`, with a derivative that keeps one array for each step where that keeps two.

    Args:
      x: of any shape.
    """
    return jnp.tanh(x)


@tanh.defjvp
def _tanh_jvp(primals, tangents):
    y, (dx,) = tanh(*primals), tangents
    return y, (1 + y) * (1 - y) * dx  # 1 - y**2 would lose the digits of a small 1 - y
