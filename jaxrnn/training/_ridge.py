"""Ridge regression, which trains a readout at once."""

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_array, check_positive, describe
from jaxrnn._core.flags import check_flags
from jaxrnn._core.numerics import sum_dtype
from jaxrnn.layers._dense import DenseParams


def ridge_readout(
    states: jax.Array,
    targets: jax.Array,
    *,
    penalty: float = 1e-6,
    mask: jax.Array | None = None,
) -> DenseParams:
    """Ridge regression: the parameters of a `jaxrnn.dense` that maps states to targets.

    It minimizes the mean of |targets - (states W + b)|² + penalty |W|², over the real steps, and
    trains what reads a reservoir such as `jaxrnn.esn`, for which there is no gradient to follow.
    Leave out the first steps, in which the reservoir forgets how it began.

    Args:
      states: (T, ..., H).
      targets: (T, ..., F), of the same dtype.
      penalty: how much large weights cost, above 0.
      mask: bool (T, ...), True = a real step.

    Returns:
      `DenseParams` with a kernel (H, F) and a bias (F,).

    Raises:
      ValueError, TypeError: an argument of another shape or dtype, or `penalty` is not above 0.

    References: Hoerl and Kennard, 1970, "Ridge regression: biased estimation for nonorthogonal
    problems".

    Examples:
      >>> states = jax.random.normal(jax.random.key(0), (100, 3, 4))  # (T, B, H)
      >>> targets = states @ jnp.arange(8.0).reshape(4, 2) + 1  # (T, B, F)
      >>> kernel, bias = jaxrnn.training.ridge_readout(states, targets)
      >>> (kernel.round() + 0.0).tolist(), bias.round().tolist()
      ([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]], [1.0, 1.0])
    """
    _check(states, targets)
    check_flags("mask", mask, states, of="states")
    penalty = check_positive("penalty", penalty)
    wide = sum_dtype(states.dtype)
    is_real = jnp.ones((), bool) if mask is None else mask
    is_real = jnp.expand_dims(is_real, range(is_real.ndim, states.ndim))
    is_real = jnp.broadcast_to(is_real, (*states.shape[:-1], 1)).reshape(-1, 1)
    count = jnp.sum(is_real.astype(wide))

    def centered(x):
        """Rows (N, F) of the real steps, zero in the others, and their mean."""
        x = jnp.where(is_real, x.reshape(-1, x.shape[-1]).astype(wide), 0)
        mean = jnp.sum(x, axis=0, keepdims=True) / count
        return jnp.where(is_real, x - mean, 0), mean

    (x, x_mean), (y, y_mean) = centered(states), centered(targets)
    # By QR, as the normal equations would square the condition of the states.
    extra = jnp.sqrt(count * penalty) * jnp.eye(x.shape[-1], dtype=wide)
    q, r = jnp.linalg.qr(jnp.concatenate([x, extra]))
    kernel = jax.scipy.linalg.solve_triangular(r, q[: len(x)].T @ y)
    bias = (y_mean - x_mean @ kernel)[0]
    return DenseParams(kernel.astype(states.dtype), bias.astype(states.dtype))


def _check(states, targets):
    for name, x in (("states", states), ("targets", targets)):
        check_array(name, x)
        if x.ndim < 2 or not jnp.issubdtype(x.dtype, jnp.floating):
            raise TypeError(f"`{name}` must be floating (T, ..., F), got {describe(x)}.")
    if targets.shape[:-1] != states.shape[:-1] or targets.dtype != states.dtype:
        raise ValueError(
            f"`targets` must have the leading axes {tuple(states.shape[:-1])} and the dtype of "
            f"`states`, {states.dtype}, got {describe(targets)}."
        )
