"""Initial values of reservoirs, whose recurrent weights are not trained."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_finite
from jaxrnn._core.construction import recorded
from jaxrnn._core.numerics import sum_dtype


@recorded
def spectral(radius: float, *, density: float = 1.0) -> Callable[..., jax.Array]:
    """A random matrix with this spectral radius, for reservoirs (Jaeger, 2001).

    Args:
      radius: the largest absolute value of an eigenvalue; a finite number of 0 or more.
      density: the share of the entries that are not zero, above 0 and at most 1.

    Raises:
      ValueError, TypeError: an argument is out of its range, or the shape drawn is not (N, N).

    Examples:
      >>> init = jaxrnn.initializers.spectral(0.9, density=0.5)
      >>> kernel = init(jax.random.key(0), (20, 20))
      >>> round(float(np.abs(np.linalg.eigvals(kernel)).max()), 2)
      0.9
    """
    radius = check_finite("radius", radius)
    density = check_finite("density", density)
    if radius < 0:
        raise ValueError(f"`radius` must be 0 or more, got {radius}.")
    if not 0 < density <= 1:
        raise ValueError(f"`density` must be above 0 and at most 1, got {density}.")

    def init(key, shape, dtype=jnp.float32):
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError(f"`shape` must be (N, N), got {shape}.")
        value_key, place_key = jax.random.split(key)
        values = jax.random.normal(value_key, shape, sum_dtype(dtype))
        values = jnp.where(jax.random.uniform(place_key, shape) < density, values, 0)
        return (radius / _spectral_radius(values) * values).astype(dtype)

    return init


def _spectral_radius(matrix):
    """The limit of |W^k|^(1/k), by squaring: no eigenvalues, which not every device computes."""

    def square(_, state):
        power, log_norm = state
        power = power @ power
        norm = jnp.maximum(jnp.linalg.norm(power), jnp.finfo(power.dtype).tiny)
        return power / norm, 2 * log_norm + jnp.log(norm)

    norm = jnp.maximum(jnp.linalg.norm(matrix), jnp.finfo(matrix.dtype).tiny)
    count = 14
    _, log_norm = jax.lax.fori_loop(0, count, square, (matrix / norm, jnp.log(norm)))
    return jnp.exp(log_norm / 2**count)
