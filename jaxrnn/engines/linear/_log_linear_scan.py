"""Linear recurrences of positive numbers, by their logarithms."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn._core.checks import check_bool, describe
from jaxrnn._core.mesh import on_any_mesh, undivided_in_time
from jaxrnn._core.shardings import like_argument
from jaxrnn.engines.linear._linear_scan import check_coefficients, check_state


@on_any_mesh(like_argument("log_b"))
def log_linear_scan(
    log_a: jax.Array, log_b: jax.Array, log_h0: jax.Array | None = None, *, reverse: bool = False
) -> jax.Array:
    """A linear recurrence of positive numbers, from logarithms to logarithms.

        log h_t = log(exp(log a_t) h_{t-1} + exp(log b_t))

    For states that span more than a dtype holds, and for cells that are published in this form.
    Where states are in range, `jaxrnn.linear_scan` is as exact and several times as fast. Pairs of
    steps are added by `jnp.logaddexp`, in log2(T) rounds, so no long sum of logarithms is
    subtracted from another.

    Args:
      log_a: (T, ...), floating; -inf for an a of 0.
      log_b: (T, ...), of the shape and dtype of `log_a`.
      log_h0: (...), of the state before the first step; None means a state of 0, -inf.
      reverse: whether to run from the last step to the first.

    Returns:
      The logarithms of the states, (T, ...).

    Raises:
      ValueError, TypeError: an argument does not fit the others, or is complex.

    References: Heinsen, 2023, "Efficient parallelization of a ubiquitous sequential computation";
    Feng et al., 2024, "Were RNNs all we needed?".

    Examples:
      >>> log_a = jnp.full((4, 1), 30 * jnp.log(10.0))  # (T, N): a = 1e30, b = 1
      >>> log_h = jaxrnn.log_linear_scan(log_a, jnp.zeros_like(log_a))
      >>> [round(float(h)) for h in log_h[:, 0] / jnp.log(10.0)]  # float32 holds no 1e90
      [0, 30, 60, 90]
    """
    check_bool("reverse", reverse)
    check_coefficients(("log_a", log_a), ("log_b", log_b))
    if not jnp.issubdtype(log_a.dtype, jnp.floating):
        raise TypeError(f"`log_a` must be floating, got {describe(log_a)}.")
    if log_h0 is not None:
        check_state(("log_h0", log_h0), ("log_a", log_a))
    log_a, log_b = undivided_in_time((jnp.asarray(log_a), jnp.asarray(log_b)))
    if log_a.size == 0:
        return log_b

    def after(first, second):
        (a1, b1), (a2, b2) = first, second
        return a2 + a1, jnp.logaddexp(a2 + b1, b2)

    log_a, log_b = lax.associative_scan(after, (log_a, log_b), reverse=reverse)
    return log_b if log_h0 is None else jnp.logaddexp(log_a + log_h0, log_b)
