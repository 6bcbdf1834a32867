"""The directions in which states vary most."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_size
from jaxrnn.diagnostics._states import centered, check_states


class PrincipalComponents(NamedTuple):
    """Directions in which states vary, the largest variance first."""

    mean: jax.Array  # (H,)
    components: jax.Array  # (K, H), orthonormal
    variances: jax.Array  # (K,)
    shares: jax.Array  # (K,), of the variance in all directions
    projections: jax.Array  # (T, ..., K), 0 at masked steps


def principal_components(
    states: jax.Array, *, num: int | None = None, mask: jax.Array | None = None
) -> PrincipalComponents:
    """Principal component analysis (PCA) of the states of a network.

        found = principal_components(ys, num=2)
        found.projections  # (T, B, 2): trajectories to draw

    Args:
      states: (T, ..., H), such as the outputs of a cell.
      num: K, how many components to keep, 1 to H; None means all that there are.
      mask: bool (T, ...), True = a real step.

    Returns:
      `PrincipalComponents`, in at least float32. Other states are projected by
      ``(states - mean) @ components.T``.

    Raises:
      ValueError, TypeError: `states` are not floating (T, ..., H), `mask` does not fit them, or
        `num` is not an integer from 1 to the number of components, H or the number of rows.

    References: Pearson, 1901, "On lines and planes of closest fit to systems of points in space".

    Examples:
      >>> states = np.random.default_rng(0).normal(size=(100, 3, 4)) * [10, 1, 0.1, 0.1]
      >>> found = jaxrnn.diagnostics.principal_components(jnp.float32(states), num=2)  # (T, B, H)
      >>> found.projections.shape, bool(found.shares[0] > 0.9)
      ((100, 3, 2), True)
    """
    check_states("states", states, mask)
    rows, mean, count = centered(states, mask)
    num = min(rows.shape) if num is None else num
    check_size("num", num)
    if num > min(rows.shape):
        raise ValueError(f"`num` must be at most {min(rows.shape)}, got {num}.")
    _, s, components = jnp.linalg.svd(rows, full_matrices=False)
    variances = s**2 / count
    total = variances.sum()
    shares = variances / jnp.where(total > 0, total, jnp.ones_like(total))
    projections = (rows @ components[:num].T).reshape(*states.shape[:-1], num)
    return PrincipalComponents(
        mean[0], components[:num], variances[:num], shares[:num], projections
    )
