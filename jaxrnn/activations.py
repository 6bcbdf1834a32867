"""Element-wise activation functions with parameters, for the gates of cells.

Each of these makes a function, as in ``jaxrnn.lstm(64, gate_activation=hard_sigmoid())``. Functions
without parameters, such as `jnp.tanh` or `jax.nn.softplus`, need no maker. Equal calls make equal
cells.
"""

import numbers
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxrnn._core.construction import recorded

__all__ = [
    "Activation",
    "affine",
    "clipped",
    "elu",
    "hard_sigmoid",
    "leaky_relu",
    "scaled_tanh",
    "thresholded_relu",
]

Activation = Callable[[jax.Array], jax.Array]  # element-wise


def __dir__():
    return __all__


@recorded
def affine(scale: float = 1.0, shift: float = 0.0) -> Activation:
    """``scale x + shift``.

    Args:
      scale: the slope.
      shift: the value at 0.

    Examples:
      >>> jaxrnn.activations.affine(0.5, 1.0)(jnp.array([-2.0, 0.0, 2.0])).tolist()
      [0.0, 1.0, 2.0]
    """
    return lambda x: scale * x + shift


@recorded
def leaky_relu(slope: float = 0.01) -> Activation:
    """x where x is positive, and ``slope x`` elsewhere (Maas, Hannun and Ng, 2013).

    Args:
      slope: for negative x.

    Examples:
      >>> jaxrnn.activations.leaky_relu(0.25)(jnp.array([-4.0, 0.0, 4.0])).tolist()
      [-1.0, 0.0, 4.0]
    """
    return lambda x: jax.nn.leaky_relu(x, slope)


@recorded
def thresholded_relu(threshold: float = 1.0) -> Activation:
    """x where x is greater than `threshold`, and 0 elsewhere (Konda, Memisevic and Krueger, 2015).

    Args:
      threshold: the greatest x that becomes 0.

    Examples:
      >>> jaxrnn.activations.thresholded_relu(2.0)(jnp.array([1.0, 2.0, 3.0])).tolist()
      [0.0, 0.0, 3.0]
    """
    return lambda x: jnp.where(x > threshold, x, 0)


@recorded
def elu(scale: float = 1.0) -> Activation:
    """Exponential linear unit: x where x is positive, and ``scale (exp(x) - 1)`` elsewhere.

    Args:
      scale: minus the limit for small x.

    References: Clevert, Unterthiner and Hochreiter, 2016, "Fast and accurate deep network learning
    by exponential linear units (ELUs)".

    Examples:
      >>> jaxrnn.activations.elu(scale=2.0)(jnp.array([-100.0, 0.0, 3.0])).tolist()
      [-2.0, 0.0, 3.0]
    """
    return lambda x: jax.nn.elu(x, scale)


@recorded
def scaled_tanh(scale: float = 1.7159, slope: float = 2 / 3) -> Activation:
    """``scale tanh(slope x)``, by default the function of LeCun et al., 1998, "Efficient backprop".

    Args:
      scale: the limit for large x.
      slope: multiplies x.

    Examples:
      >>> f = jaxrnn.activations.scaled_tanh()
      >>> f(jnp.array([-1.0, 0.0, 1.0])).round(3).tolist()  # it maps -1 and 1 to themselves
      [-1.0, 0.0, 1.0]
    """
    return lambda x: scale * jnp.tanh(slope * x)


@recorded
def hard_sigmoid(slope: float = 0.2, shift: float = 0.5) -> Activation:
    """``slope x + shift``, clipped to 0 and 1.

    `jax.nn.hard_sigmoid` is this function with a slope of 1/6.

    Args:
      slope: multiplies x.
      shift: the value at 0.

    Examples:
      >>> jaxrnn.activations.hard_sigmoid()(jnp.array([-3.0, 0.0, 1.25, 3.0])).tolist()
      [0.0, 0.5, 0.75, 1.0]
      >>> jaxrnn.lstm(64, gate_activation=jaxrnn.activations.hard_sigmoid())
      lstm(64, gate_activation=hard_sigmoid())
    """
    return lambda x: jnp.clip(slope * x + shift, 0, 1)


@recorded
def clipped(activation: Activation, limit: float) -> Activation:
    """`activation` of x clipped to -limit and limit, so that no gate saturates.

    Args:
      activation: an element-wise function.
      limit: the largest absolute value that `activation` gets; it may be traced.

    Raises:
      TypeError: `activation` is not a function.
      ValueError: `limit` is a number below 0.

    Examples:
      >>> f = jaxrnn.activations.clipped(jax.nn.relu, 6.0)
      >>> f(jnp.array([-1.0, 3.0, 9.0])).tolist()
      [0.0, 3.0, 6.0]
    """
    if not callable(activation):
        raise TypeError(f"`activation` must be a function such as jnp.tanh, got {activation!r}.")
    if isinstance(limit, numbers.Real) and limit < 0:
        raise ValueError(f"`limit` must be 0 or more, got {limit}.")
    return lambda x: activation(jnp.clip(x, -limit, limit))
