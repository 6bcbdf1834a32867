"""The least squares of a residual, by damped Gauss-Newton steps."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def descend(residual: Callable, start: jax.Array, num_steps: int) -> jax.Array:
    """A minimum of |residual(h)|² near `start` (N,), by the method of Levenberg and Marquardt.

    A step that makes the residual larger is not taken, and the damping grows instead. It ends early
    where steps no longer change anything.
    """
    tiny = jnp.finfo(start.dtype).eps

    def cost(r):
        return jnp.sum(r * r)

    def is_open(state):
        count, _, r, damping = state
        return (count < num_steps) & (damping < 1e8) & (cost(r) > tiny * tiny)

    def step(state):
        count, h, r, damping = state
        new = h + _least_squares(jax.jacfwd(residual)(h), -r, damping)
        new_r = residual(new)
        is_better = cost(new_r) < cost(r)
        damping = jnp.where(is_better, jnp.maximum(damping / 5, tiny), damping * 4)
        return count + 1, jnp.where(is_better, new, h), jnp.where(is_better, new_r, r), damping

    state = jnp.int32(0), start, residual(start), jnp.asarray(1e-2, start.dtype)
    return jax.lax.while_loop(is_open, step, state)[1]


def _least_squares(j, r, damping):
    """The d with the smallest |J d - r|² + damping |d|², by QR, as J may be nearly singular."""
    eye = jnp.eye(j.shape[-1], dtype=j.dtype)
    q, upper = jnp.linalg.qr(jnp.concatenate([j, jnp.sqrt(damping) * eye]))
    return jax.scipy.linalg.solve_triangular(upper, q[: len(r)].T @ r)
