"""The simple recurrent cell of Elman (vanilla RNN), also with relu and the identity (IRNN)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import wide_update
from jaxrnn._core.types import Cell
from jaxrnn.activations import Activation
from jaxrnn.cells._gated import (
    HiddenCarry,
    draw_gates,
    lean_activations,
    one_for_each,
    project,
    recur,
    zero_carry,
)
from jaxrnn.initializers import Initializer, glorot_uniform, identity, in_float32, orthogonal


class ElmanParams(NamedTuple):
    kernel: jax.Array  # (I, H)
    recurrent_kernel: jax.Array  # (H, H)
    bias: jax.Array | None  # (H,); None without a bias


@constructor
def elman(
    hidden_size: int,
    activation: Activation = jnp.tanh,
    *,
    kernel_init: Initializer = glorot_uniform(),
    recurrent_kernel_init: Initializer = orthogonal(),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Simple recurrent cell (vanilla RNN, Elman network).

        h' = activation(W x + U h + b)

    Args:
      hidden_size: H.
      activation: element-wise, such as `jnp.tanh`, `jax.nn.relu`, `jax.nn.sigmoid`,
        `jax.nn.selu`, or your own function. With relu, start `recurrent_kernel` from
        ``jaxrnn.initializers.identity()``.
      kernel_init: draws `kernel` (I, H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, H).
      bias_init: draws `bias` (H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `ElmanParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, `activation` is not a
        function, or `use_bias` is not a bool.

    References: Elman, 1990, "Finding structure in time".

    Examples:
      >>> cell = jaxrnn.elman(1, jax.nn.relu)
      >>> params = jaxrnn.cells.ElmanParams(jnp.ones((1, 1)), 0.5 * jnp.ones((1, 1)), jnp.zeros(1))
      >>> _, ys = jaxrnn.unroll(cell, params, None, jnp.array([[1.0], [0.0], [3.0]]))  # (T, I)
      >>> ys.ravel().tolist()  # relu(x + h / 2)
      [1.0, 0.5, 3.25]
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    (activation,) = lean_activations(activation=activation)
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None

    def init(key, x):
        return ElmanParams(*draw_gates(key, x, hidden_size, 1, inits))

    init_carry = zero_carry(ElmanParams, HiddenCarry, hidden_size)
    return Cell(init, init_carry, project, recur, update_with(activation))


@constructor
def irnn(
    hidden_size: int,
    *,
    kernel_init: Initializer = in_float32(jax.nn.initializers.normal(0.001)),
    recurrent_kernel_init: Initializer = identity(),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Recurrent network of rectified linear units that starts from the identity (IRNN).

        h' = relu(W x + U h + b),  with U = 1 at the start

    It begins as a sum of its inputs, through which the gradient neither vanishes nor explodes. It
    is `jaxrnn.elman` with relu and these initializers. Clip gradients.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, H).
      bias_init: draws `bias` (H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `ElmanParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Le, Jaitly and Hinton, 2015, "A simple way to initialize recurrent networks of
    rectified linear units".

    Examples:
      >>> cell = jaxrnn.irnn(3, kernel_init=jaxrnn.initializers.identity())
      >>> xs = jnp.array([[1.0, 2.0, 0.0], [10.0, 0.0, 0.0], [0.0, 0.0, 5.0]])  # (T, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> carry, ys = jaxrnn.unroll(cell, params, None, xs)
      >>> carry.h.tolist()  # it starts as a sum
      [11.0, 2.0, 5.0]
    """
    return elman(
        hidden_size,
        jax.nn.relu,
        kernel_init=kernel_init,
        recurrent_kernel_init=recurrent_kernel_init,
        bias_init=bias_init,
        use_bias=use_bias,
    )


@one_for_each
def update_with(activation: Activation) -> Callable:
    """The state equation: one function per activation, by which kernels recognize the cell."""

    @wide_update
    def update(params, carry, u, v):
        return HiddenCarry(activation(u + v))

    return update
