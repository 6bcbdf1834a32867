"""Units that do nothing."""

import jax
import jax.numpy as jnp

from jaxrnn.diagnostics._states import check_states, real_rows


def dead_units(
    states: jax.Array, *, mask: jax.Array | None = None, tolerance: float = 1e-6
) -> jax.Array:
    """Which units have the same value at all steps, such as rectified units stuck at 0.

        _, ys = jaxrnn.unroll(cell, params, None, xs)
        dead_units(ys).mean()  # their share

    Args:
      states: (T, ..., H), such as the outputs of a cell, over many sequences.
      mask: bool (T, ...), True = a real step.
      tolerance: the largest difference between two values that counts as none, 0 or more.

    Returns:
      bool (H,), True for a unit that does not change. NaN counts as a change.

    Raises:
      ValueError, TypeError: `states` are not floating (T, ..., H), or `mask` does not fit them.

    References: Maas, Hannun and Ng, 2013, "Rectifier nonlinearities improve neural network acoustic
    models".

    Examples:
      >>> states = jnp.array([[0.5, 0.0, 1.0], [0.7, 0.0, 1.0], [0.2, 0.0, 9.0]])  # (T, H)
      >>> jaxrnn.diagnostics.dead_units(states).tolist()
      [False, True, False]
      >>> mask = jnp.array([True, True, False])
      >>> jaxrnn.diagnostics.dead_units(states, mask=mask).tolist()
      [False, True, True]
    """
    check_states("states", states, mask)
    is_real = real_rows(states, mask)
    rows = states.reshape(-1, states.shape[-1])
    low = jnp.min(jnp.where(is_real, rows, jnp.inf), axis=0, initial=jnp.inf)
    high = jnp.max(jnp.where(is_real, rows, -jnp.inf), axis=0, initial=-jnp.inf)
    return high - low <= tolerance
