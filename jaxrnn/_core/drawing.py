"""Parameters, drawn by the initializers that a user may give."""

from collections.abc import Callable
from typing import Any

import jax

from jaxrnn._core.checks import describe


def draw(
    name: str, init: Callable | None, key: jax.Array, shape: tuple[int, ...], dtype: Any
) -> jax.Array | None:
    """One parameter, checked: ``init(key, shape, dtype)``; None without an initializer.

    Args:
      name: the field of the parameters; its initializer is the argument ``{name}_init``.
      init: the initializer, or None for a parameter that is left out.
      key: one key.
      shape: of the parameter.
      dtype: likewise.

    Raises:
      TypeError: `init` is not a function, or returns no array of this dtype.
      ValueError: it returns another shape.

    Examples:
      >>> zeros = jax.nn.initializers.zeros
      >>> jaxrnn.authoring.draw("bias", zeros, jax.random.key(0), (8,), jnp.float32).shape
      (8,)
      >>> jaxrnn.authoring.draw("bias", 0.0, jax.random.key(0), (8,), jnp.float32)
      Traceback (most recent call last):
      TypeError: `bias_init` must be a function (key, shape, dtype) -> array, such as...
    """
    if init is None:
        return None
    if not callable(init):
        raise TypeError(
            f"`{name}_init` must be a function (key, shape, dtype) -> array, such as "
            f"`jax.nn.initializers.zeros`, got {init!r}."
        )
    drawn = init(key, shape, dtype)
    if getattr(drawn, "shape", None) != shape:
        raise ValueError(
            f"`{name}_init` must return an array of the shape it is asked for, {shape}, got "
            f"{describe(drawn)}."
        )
    if drawn.dtype != dtype:
        raise TypeError(
            f"`{name}_init` must return the dtype it is asked for, {dtype}, got {describe(drawn)}."
        )
    return drawn
