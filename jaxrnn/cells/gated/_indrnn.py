"""The independently recurrent network (IndRNN)."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import over_rows, wide_update
from jaxrnn._core.types import Cell, nothing
from jaxrnn.activations import Activation
from jaxrnn.cells._gated import HiddenCarry, draw_each, lean_activations, project, zero_carry
from jaxrnn.initializers import Initializer, glorot_uniform, in_float32


class IndRNNParams(NamedTuple):
    kernel: jax.Array  # (I, H)
    recurrent_scale: jax.Array  # (H,), one weight for the past of each unit
    bias: jax.Array | None  # (H,); None without a bias


@constructor
def indrnn(
    hidden_size: int,
    activation: Activation = jax.nn.relu,
    *,
    kernel_init: Initializer = glorot_uniform(),
    recurrent_scale_init: Initializer = in_float32(jax.nn.initializers.uniform(1.0)),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Independently recurrent network: each unit sees its own past only (IndRNN).

        h' = activation(W x + r h + b)

    The gradient of a unit through T steps is a power of its r, so it neither vanishes nor explodes
    where r^T does not: start r near 1 for long sequences, and keep it below
    2^(1/T). Units mix in the layers above, so stack two or more. There is no product in the loop.

    Args:
      hidden_size: H.
      activation: element-wise, such as `jax.nn.relu` or `jnp.tanh`.
      kernel_init: draws `kernel` (I, H).
      recurrent_scale_init: draws `recurrent_scale` (H,); by default between 0 and 1.
      bias_init: draws `bias` (H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `IndRNNParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, `activation` is not a
        function, or `use_bias` is not a bool.

    References: Li, Li, Cook, Zhu and Gao, 2018, "Independently recurrent neural network (IndRNN):
    building a longer and deeper RNN".

    Examples:
      >>> cell = jaxrnn.indrnn(2)
      >>> params = jaxrnn.cells.IndRNNParams(jnp.eye(2), jnp.array([1.0, 0.5]), jnp.zeros(2))
      >>> xs = jnp.array([[8.0, 8.0], [0.0, 0.0], [0.0, 0.0]])  # (T, I)
      >>> jaxrnn.unroll(cell, params, None, xs)[1].tolist()  # one unit keeps, the other forgets
      [[8.0, 8.0], [8.0, 4.0], [8.0, 2.0]]
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    (activation,) = lean_activations(activation=activation)

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (x.shape[-1], hidden_size)),
            "recurrent_scale": (recurrent_scale_init, (hidden_size,)),
            "bias": (bias_init if use_bias else None, (hidden_size,)),
        }
        return IndRNNParams(*draw_each(key, x, **parts))

    init_carry = zero_carry(IndRNNParams, HiddenCarry, hidden_size)
    return Cell(init, init_carry, project, nothing, _update_with(activation))


def _update_with(activation: Activation) -> Callable:
    @wide_update
    def update(params, carry, u, v):
        return HiddenCarry(activation(u + over_rows(params.recurrent_scale, u) * carry.h))

    return update
