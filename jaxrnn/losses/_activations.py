"""Penalties of activations, to be added to a loss."""

import jax

from jaxrnn._core.masking import over_batch, zero_where_masked
from jaxrnn._core.mesh import on_any_mesh
from jaxrnn._core.numerics import sum_dtype
from jaxrnn._core.shardings import replicated
from jaxrnn.losses._arguments import check_mask, floating
from jaxrnn.losses._mean import mean


@on_any_mesh(replicated)
def activation_penalty(ys: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Activation regularization: the mean square of outputs (T, ..., H).

    Add it to a loss with a small weight (Merity, McCann and Socher, 2017).

    Args:
      ys: outputs, floating (T, ..., H).
      mask: bool, with any of the leading axes of `ys`, True = a real step.

    Returns:
      A scalar in the dtype of `ys`.

    Raises:
      ValueError, TypeError: `ys` is not floating, or `mask` does not fit it.

    Examples:
      >>> ys = jnp.array([[2.0, 2.0], [4.0, 4.0], [9.0, 9.0]])  # (T, H)
      >>> mask = jnp.array([True, True, False])
      >>> float(jaxrnn.losses.activation_penalty(ys, mask))
      10.0
    """
    ys = floating("ys", ys)
    check_mask("mask", mask, ys.shape, "`ys`")
    real = zero_where_masked(mask, ys.astype(sum_dtype(ys.dtype)))
    return mean(real**2, mask).astype(ys.dtype)


@on_any_mesh(replicated)
def temporal_activation_penalty(
    ys: jax.Array, mask: jax.Array | None = None, resets: jax.Array | None = None
) -> jax.Array:
    """Temporal activation regularization: the mean squared change of outputs from step to step.

    A change counts if both steps are real and the later one is not a reset. Add it to a loss with a
    small weight (Merity, McCann and Socher, 2017).

    Args:
      ys: outputs, floating (T, ..., H).
      mask: bool, with any of the leading axes (T, ...) of `ys` but the last, True = a real step.
      resets: bool, like `mask`: the resets that the layer was given.

    Returns:
      A scalar in the dtype of `ys`.

    Raises:
      ValueError, TypeError: `ys` is not floating or lacks the last axis, or `mask` or `resets` does
        not fit it.

    Examples:
      >>> ys = jnp.array([[1.0], [3.0], [9.0]])  # (T, H)
      >>> float(jaxrnn.losses.temporal_activation_penalty(ys))  # changes of 2 and 6
      20.0
      >>> resets = jnp.array([False, False, True])  # the last step begins another sequence
      >>> float(jaxrnn.losses.temporal_activation_penalty(ys, resets=resets))
      4.0
    """
    ys = floating("ys", ys)
    if ys.ndim < 2:
        raise ValueError(f"`ys` must be (T, ..., H), got {ys.shape}. Add an axis of features.")
    steps = ys.shape[:-1]
    check_mask("mask", mask, steps, "`ys` without its features,")
    check_mask("resets", resets, steps, "`ys` without its features,")
    mask = over_batch(mask, steps, True)
    resets = over_batch(resets, steps, False)
    counts = mask[1:] & mask[:-1] & ~resets[1:]
    real = zero_where_masked(mask, ys.astype(sum_dtype(ys.dtype)))
    changes = zero_where_masked(counts, real[1:] - real[:-1])
    return mean(changes**2, counts).astype(ys.dtype)
