"""The update gate recurrent network (UGRNN)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import wide_update
from jaxrnn._core.types import Cell
from jaxrnn.activations import Activation
from jaxrnn.cells._gated import HiddenCarry, lean_activations, of_gates, one_for_each
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal, unit_forget_bias


class UGRNNParams(NamedTuple):
    kernel: jax.Array  # (I, 2H), gates g c
    recurrent_kernel: jax.Array  # (H, 2H)
    bias: jax.Array | None  # (2H,); None without a bias


@constructor
def ugrnn(
    hidden_size: int,
    *,
    gate_activation: Activation = jax.nn.sigmoid,
    activation: Activation = jnp.tanh,
    kernel_init: Initializer = glorot_uniform(2),
    recurrent_kernel_init: Initializer = orthogonal(2),
    bias_init: Initializer = unit_forget_bias(gates="fg"),
    use_bias: bool = True,
) -> Cell:
    """Update gate recurrent network: one gate between the old state and a new one.

        g, c = W x + U h + b
        h' = σ(g) h + (1 - σ(g)) tanh(c)

    It has two thirds of the weights of a GRU. The default bias of 1 at g starts the cell by
    remembering.

    Args:
      hidden_size: H.
      gate_activation: element-wise, in place of σ.
      activation: element-wise, in place of tanh.
      kernel_init: draws `kernel` (I, 2H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 2H).
      bias_init: draws `bias` (2H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `UGRNNParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, an activation is not a
        function, or `use_bias` is not a bool.

    References: Collins, Sohl-Dickstein and Sussillo, 2017, "Capacity and trainability in recurrent
    neural networks".

    Examples:
      >>> cell = jaxrnn.ugrnn(8, activation=jax.nn.relu)
      >>> params = cell.init(jax.random.key(0), jnp.ones((2, 4)))  # (B, I)
      >>> params.kernel.shape, params.recurrent_kernel.shape
      ((4, 16), (8, 16))
      >>> params.bias.tolist() == 8 * [1.0] + 8 * [0.0]  # g, c
      True
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    activations = lean_activations(gate_activation=gate_activation, activation=activation)
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None
    return of_gates(UGRNNParams, HiddenCarry, hidden_size, 2, inits, _update_with(*activations))


@one_for_each
def _update_with(gate_activation: Activation, activation: Activation) -> Callable:
    @wide_update
    def update(params, carry, u, v, drop=lambda candidate: candidate):
        g, c = jnp.split(u + v, 2, axis=-1)
        g = gate_activation(g)
        return HiddenCarry(g * carry.h + (1 - g) * drop(activation(c)))

    return update
