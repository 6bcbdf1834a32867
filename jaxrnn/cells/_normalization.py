"""Layer normalization, without a gain and a bias."""

import jax
import jax.numpy as jnp

_EPSILON = 1e-5


def normalize(x: jax.Array) -> jax.Array:
    """Shifts and scales x to mean 0 and variance 1 over the last axis (Ba, Kiros and Hinton, 2016).

    Args:
      x: floating ``(..., N)``. 1e-5 is added to its variance.

    Examples:
      >>> y = jaxrnn.authoring.normalize(jnp.array([[1.0, 3.0], [20.0, 40.0]]))
      >>> y.round(3).tolist()
      [[-1.0, 1.0], [-1.0, 1.0]]
    """
    return _normalized(x)


@jax.custom_jvp
def _normalized(x):
    return _and_scale(x)[0]


def _and_scale(x):
    centered = x - _mean(x)
    scale = jax.lax.rsqrt(_mean(centered**2) + _EPSILON)
    return centered * scale, scale


def _mean(x):
    return jnp.mean(x, axis=-1, keepdims=True)


@_normalized.defjvp
def _jvp(primals, tangents):
    # Written with y, and with the signs at the means, the gradient takes half as many passes over
    # the features.
    (x,), (dx,) = primals, tangents
    y, scale = _and_scale(x)
    return y, scale * (dx + y * -_mean(y * dx) + -_mean(dx))
