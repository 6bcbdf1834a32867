"""The simple recurrent network of Elman."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._checks import check_params, check_size
from jaxrnn._gates import draw_gates, project, recur
from jaxrnn._initializers import Initializer, glorot_uniform, orthogonal
from jaxrnn._precision import wide_update
from jaxrnn._tanh import tanh
from jaxrnn._types import Cell


class ElmanParams(NamedTuple):
    kernel: jax.Array  # (I, H)
    recurrent_kernel: jax.Array  # (H, H)
    bias: jax.Array  # (H,)


class ElmanCarry(NamedTuple):
    h: jax.Array  # (..., H)


def elman(
    hidden_size: int,
    activation: Callable[[jax.Array], jax.Array] = jnp.tanh,
    *,
    kernel_init: Initializer = glorot_uniform(),
    recurrent_kernel_init: Initializer = orthogonal(),
    bias_init: Initializer = jax.nn.initializers.zeros,
) -> Cell:
    """Simple recurrent cell.

        h' = activation(W x + U h + b)

    Args:
      hidden_size: H.
      activation: element-wise, such as `jnp.tanh`, `jax.nn.relu`, `jax.nn.sigmoid`,
        `jax.nn.selu`, or any function of your own. With relu, start `recurrent_kernel` from
        ``jaxrnn.initializers.identity()``.
      kernel_init: draws `kernel` (I, H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, H).
      bias_init: draws `bias` (H,).

    Returns:
      A `Cell` with parameters `ElmanParams` and carry `ElmanCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `activation` no function.

    References: Elman, 1990, "Finding structure in time".
    """
    check_size("hidden_size", hidden_size)
    if not callable(activation):
        raise TypeError(f"`activation` must be a function such as jnp.tanh, got {activation!r}.")

    if activation in (jnp.tanh, jax.nn.tanh):
        activation = tanh  # the same values, and less to keep for the derivative
    inits = kernel_init, recurrent_kernel_init, bias_init

    def init(key, x):
        return ElmanParams(*draw_gates(key, x, hidden_size, 1, inits))

    def init_carry(params, x):
        check_params(params, ElmanParams)
        return ElmanCarry(jnp.zeros((*x.shape[:-1], hidden_size), params.kernel.dtype))

    return Cell(init, init_carry, project, recur, _update(activation))


@functools.lru_cache
def _update(activation):
    """One function for each activation, by which a kernel knows the cell that it can run."""

    @wide_update
    def update(params, carry, u, v):
        h = activation(u + v)
        return ElmanCarry(h), h

    return update
