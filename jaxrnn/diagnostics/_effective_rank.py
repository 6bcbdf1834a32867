"""How many directions the states of a network use."""

import jax
import jax.numpy as jnp

from jaxrnn.diagnostics._states import centered, check_states


def effective_rank(states: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
    """The effective rank of states: in how many directions, on balance, they vary.

        exp(-Σ p log p),   p = s / Σ s

    s are the singular values of the states around their mean. It is H where all directions vary
    alike, and 1 where the states move along a line.

        _, ys = jaxrnn.unroll(cell, params, None, xs)
        effective_rank(ys)

    Args:
      states: (T, ..., H), such as the outputs of a cell.
      mask: bool (T, ...), True = a real step.

    Returns:
      A scalar from 1 to H, in at least float32; 0 if the states never change.

    Raises:
      ValueError, TypeError: `states` are not floating (T, ..., H), or `mask` does not fit them.

    References: Roy and Vetterli, 2007, "The effective rank: a measure of effective dimensionality".

    Examples:
      >>> rng = np.random.default_rng(0)
      >>> line = rng.normal(size=(100, 1)) * np.ones(8)  # (T, H)
      >>> ball = rng.normal(size=(1000, 8))
      >>> rank = lambda x: round(float(jaxrnn.diagnostics.effective_rank(jnp.float32(x))))
      >>> rank(line), rank(ball)
      (1, 8)
    """
    check_states("states", states, mask)
    rows, _, _ = centered(states, mask)
    s = jnp.linalg.svd(rows, compute_uv=False)
    total = s.sum()
    p = s / jnp.where(total > 0, total, jnp.ones_like(total))
    entropy = -jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1)), 0))
    return jnp.where(total > 0, jnp.exp(entropy), 0)
