"""The echo state network."""

from typing import NamedTuple

import jax

from jaxrnn._core.checks import check_positive, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import HiddenCarry, of_gates
from jaxrnn.initializers import Initializer, in_float32, spectral

UNIFORM = in_float32(jax.nn.initializers.uniform(2.0))


class ESNParams(NamedTuple):
    kernel: jax.Array  # (I, H)
    recurrent_kernel: jax.Array  # (H, H)
    bias: jax.Array  # (H,)


def _around_zero(key, shape, dtype):
    return UNIFORM(key, shape, dtype) - 1


@constructor
def esn(
    hidden_size: int,
    *,
    leak: float = 1.0,
    kernel_init: Initializer = _around_zero,
    recurrent_kernel_init: Initializer = spectral(0.9, density=0.1),
    bias_init: Initializer = _around_zero,
) -> Cell:
    """Echo state network: a reservoir of random units that are not trained (ESN).

        h' = (1 - leak) h + leak tanh(W x + U h + b)

    Only the readout is trained, in one step, by `jaxrnn.training.ridge_readout`. The parameters of
    the cell have no gradient. The inputs and the initial carry do.

    Args:
      hidden_size: H.
      leak: how much of the state is new at each step, above 0 and at most 1.
      kernel_init: draws `kernel` (I, H); by default from -1 to 1.
      recurrent_kernel_init: draws `recurrent_kernel` (H, H), by default with a spectral radius of
        0.9. Below 1, the state forgets how it began.
      bias_init: draws `bias` (H,); by default from -1 to 1.

    Returns:
      A `Cell` with parameters `ESNParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `leak` is not above 0 and
        at most 1.

    References: Jaeger, 2001, "The echo state approach to analysing and training recurrent neural
    networks".

    Examples:
      >>> cell = jaxrnn.esn(2, leak=0.5)
      >>> params = jaxrnn.cells.ESNParams(jnp.eye(2), 0.9 * jnp.eye(2), jnp.zeros(2))
      >>> def total(params, xs):
      ...     return jaxrnn.unroll(cell, params, None, xs)[1].sum()
      >>> of_params, of_xs = jax.grad(total, argnums=(0, 1))(params, jnp.ones((5, 2)))  # (T, I)
      >>> bool((of_params.recurrent_kernel == 0).all()), bool((of_xs == 0).any())
      (True, False)
    """
    check_size("hidden_size", hidden_size)
    if (leak := check_positive("leak", leak)) > 1:
        raise ValueError(f"`leak` must be at most 1, got {leak}.")

    @wide_update
    def update(params, carry, u, v):
        return HiddenCarry((1 - leak) * carry.h + leak * tanh(u + v))

    inits = kernel_init, recurrent_kernel_init, bias_init
    cell = of_gates(ESNParams, HiddenCarry, hidden_size, 1, inits, update)
    return cell._replace(prepare=_fixed)


def _fixed(params, context):
    return jax.lax.stop_gradient(params)
