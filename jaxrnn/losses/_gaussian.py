"""Losses of normal distributions, alone and in mixtures."""

import math

import jax
import jax.numpy as jnp

from jaxrnn._core.mesh import on_any_mesh
from jaxrnn._core.shardings import replicated
from jaxrnn.losses._arguments import (
    check_array,
    check_mask,
    check_same_dtype,
    floating,
    real_alike,
    widened,
)
from jaxrnn.losses._mean import mean


@on_any_mesh(replicated)
def gaussian_loss(
    means: jax.Array, log_scales: jax.Array, targets: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Negative log-likelihood of independent normal distributions, in nats per value.

    It is the mean of z² / 2 + log σ + log(2π) / 2, where z = (target - mean) / σ. The loss of
    densities has no lower limit: where a network can learn a target exactly, keep `log_scales`
    above a floor, such as with ``jnp.maximum(log_scales, -7.0)``.

    Args:
      means: floating (T, ...).
      log_scales: like `means`: the log of the standard deviation σ, which may be any number.
      targets: like `means`.
      mask: bool, with any of the leading axes of `targets`, True = real.

    Returns:
      A scalar in the dtype of `means`.

    Raises:
      ValueError, TypeError: an argument of another shape or dtype.

    Examples:
      >>> means, targets = jnp.zeros((7, 3)), jnp.full((7, 3), 2.0)
      >>> near = jaxrnn.losses.gaussian_loss(means, jnp.zeros((7, 3)), means)
      >>> far = jaxrnn.losses.gaussian_loss(means, jnp.zeros((7, 3)), targets)
      >>> round(float(far - near), 3)  # z² / 2
      2.0
    """
    m, s, y, dtype = real_alike(mask, means=means, log_scales=log_scales, targets=targets)
    return -mean(_log_density(m, s, y), mask).astype(dtype)


@on_any_mesh(replicated)
def gaussian_mixture_loss(
    logits: jax.Array,
    means: jax.Array,
    log_scales: jax.Array,
    targets: jax.Array,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Negative log-likelihood of a mixture of diagonal normal distributions, in nats per step.

    The loss of a mixture density network. The D values of a target are drawn together, from one of
    the K components, so the loss is a mean over steps, and a sum over the D values.

    Args:
      logits: floating (T, ..., K), the unnormalized log of the weights. -inf excludes a component.
      means: (T, ..., K, D).
      log_scales: (T, ..., K, D), the log of the standard deviations.
      targets: (T, ..., D).
      mask: bool, with any of the leading axes (T, ...) of `targets` but the last, True = a real
        step.

    Returns:
      A scalar in the dtype of `logits`.

    Raises:
      ValueError, TypeError: an argument of another shape or dtype.

    References: Bishop, 1994, "Mixture density networks"; Graves, 2013, "Generating sequences with
    recurrent neural networks".

    Examples:
      >>> logits = jnp.array([[0.0, -jnp.inf]])  # (T, K): the first of two components
      >>> means = jnp.array([[[1.0], [5.0]]])  # (T, K, D)
      >>> log_scales, targets = jnp.zeros((1, 2, 1)), jnp.ones((1, 1))
      >>> loss = jaxrnn.losses.gaussian_mixture_loss(logits, means, log_scales, targets)
      >>> bool(jnp.isclose(loss, np.log(2 * np.pi) / 2))
      True
    """
    logits = floating("logits", logits)
    _check_components(logits, means, log_scales, targets)
    check_mask("mask", mask, targets.shape[:-1], "`targets` without their last axis,")
    log_w, m, s, y = (widened(mask, x) for x in (logits, means, log_scales, targets))
    y = jnp.broadcast_to(y[..., None, :], m.shape)
    each = _log_density(m, s, y).sum(axis=-1)
    # A component of probability zero has no gradient, which might be infinite or NaN.
    is_out = (log_w == -jnp.inf) | (each == -jnp.inf)
    m, s = (jnp.where(is_out[..., None], 0, x) for x in (m, s))
    each = jnp.where(is_out, -jnp.inf, _log_density(m, s, y).sum(axis=-1))
    values = jax.nn.logsumexp(jax.nn.log_softmax(log_w) + each, axis=-1)
    return -mean(values, mask).astype(logits.dtype)


def _log_density(m, s, y):
    # 1/σ can be infinite where the target is exactly the mean, and z then is zero.
    is_exact = (y == m) & jnp.isinf(jnp.exp(-s))
    z = (y - m) * jnp.exp(-jnp.where(is_exact, 0, s))
    return -(z**2) / 2 - s - math.log(2 * math.pi) / 2


def _check_components(logits, means, log_scales, targets):
    others = {"means": means, "log_scales": log_scales, "targets": targets}
    for name, x in others.items():
        check_array(name, x)
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"`logits` must be (T, ..., K) with K > 0 components, got {logits.shape}.")
    if len(targets.shape) == 0 or targets.shape[:-1] != logits.shape[:-1]:
        raise ValueError(
            f"`targets` must be (T, ..., D), with the leading axes of `logits` (T, ..., K) "
            f"{tuple(logits.shape)}, got {tuple(targets.shape)}. Give single values an axis with "
            "`targets[..., None]`."
        )
    expected = (*logits.shape, targets.shape[-1])
    for name, x in others.items():
        if name != "targets" and x.shape != expected:
            raise ValueError(
                f"`{name}` must be (T, ..., K, D), {tuple(expected)} as `logits` and `targets` "
                f"have it, got {tuple(x.shape)}."
            )
        check_same_dtype(name, x, "logits", logits.dtype)
