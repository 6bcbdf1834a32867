"""The gated recurrent unit, with its reset gate after or before the recurrent product."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import add_bias, matmul, tanh, wide_update
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
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class GRUParams(NamedTuple):
    kernel: jax.Array  # (I, 3H), gates r z n
    recurrent_kernel: jax.Array  # (H, 3H)
    bias: jax.Array | None  # (3H,); None without biases
    recurrent_bias: jax.Array | None  # (H,), d, of gate n, inside the product with r


class ResetBeforeGRUParams(NamedTuple):
    kernel: jax.Array  # (I, 3H), gates r z n
    recurrent_kernel: jax.Array  # (H, 3H)
    bias: jax.Array | None  # (3H,); None without biases


@constructor
def gru(
    hidden_size: int,
    *,
    reset_after: bool = True,
    gate_activation: Activation = jax.nn.sigmoid,
    activation: Activation = jnp.tanh,
    kernel_init: Initializer = glorot_uniform(3),
    recurrent_kernel_init: Initializer = orthogonal(3),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Gated recurrent unit.

        r = σ(W_r x + U_r h + b_r)
        z = σ(W_z x + U_z h + b_z)
        n = tanh(W_n x + b_n + r (U_n h + d))        reset_after=True, as in torch and cuDNN
        n = tanh(W_n x + b_n + U_n (r h))            reset_after=False, as in the paper
        h' = z h + (1 - z) n

    The two are different functions, and their weights are not interchangeable. With
    ``reset_after=False`` the product with U_n needs r, so each step makes two products, one after
    the other.

    Args:
      hidden_size: H.
      reset_after: whether the reset gate is applied after the recurrent product, or before it.
      gate_activation: element-wise, in place of σ.
      activation: element-wise, in place of tanh.
      kernel_init: draws `kernel` (I, 3H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 3H).
      bias_init: draws `bias` (3H,). For sequences of a hundred steps and more, take
        ``jaxrnn.initializers.chrono(T, gates="rzn")``: with zeros, 64 units have no gradient left
        after 200 steps. The `recurrent_bias` d (H,) starts from zeros.
      use_bias: whether there are biases b and d; without them, both fields are None.

    Returns:
      A `Cell` with carry `HiddenCarry` and parameters `GRUParams`, or `ResetBeforeGRUParams`; its
      output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, a choice is not a bool, or an
        activation is not a function.

    References: Cho et al., 2014, "Learning phrase representations using RNN encoder-decoder for
    statistical machine translation"; reset after the product: Appleyard, Kočiský and Blunsom, 2016,
    "Optimizing performance of recurrent neural networks on GPUs".

    Examples:
      >>> cell = jaxrnn.gru(8)
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> carry, ys = jaxrnn.unroll(cell, params, None, xs)
      >>> carry.h.shape, ys.shape, params.recurrent_bias.shape
      ((2, 8), (5, 2, 8), (8,))
      >>> jax.eval_shape(jaxrnn.gru(8, reset_after=False).init, jax.random.key(0), xs[0])._fields
      ('kernel', 'recurrent_kernel', 'bias')
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    check_bool("reset_after", reset_after)
    activations = lean_activations(gate_activation=gate_activation, activation=activation)
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None
    build = _reset_after if reset_after else _reset_before
    return build(hidden_size, inits, activations)


def _reset_after(hidden_size, inits, activations):
    def init(key, x):
        drawn = draw_gates(key, x, hidden_size, 3, inits)
        zeros = None if inits[-1] is None else jnp.zeros((hidden_size,), x.dtype)
        return GRUParams(*drawn, zeros)

    init_carry = zero_carry(GRUParams, HiddenCarry, hidden_size)
    return Cell(init, init_carry, project, recur, update_with(*activations))


@one_for_each
def update_with(gate_activation: Activation, activation: Activation) -> Callable:
    """The state equation for ``reset_after=True``: one function per choice of activations, by which
    kernels recognize it.
    """

    @wide_update
    def update(params, carry, u, v, drop=lambda candidate: candidate):
        (u_r, u_z, u_n), (v_r, v_z, v_n) = jnp.split(u, 3, axis=-1), jnp.split(v, 3, axis=-1)
        r = gate_activation(u_r + v_r)
        z = gate_activation(u_z + v_z)
        n = activation(u_n + r * add_bias(v_n, params.recurrent_bias))
        return HiddenCarry(z * carry.h + (1 - z) * drop(n))

    return update


update = update_with(jax.nn.sigmoid, tanh)


class _Split(NamedTuple):
    """`ResetBeforeGRUParams`, with the recurrent kernel split by columns."""

    kernel: jax.Array  # (I, 3H)
    recurrent_kernel_rz: jax.Array  # (H, 2H)
    recurrent_kernel_n: jax.Array  # (H, H)
    bias: jax.Array | None  # (3H,); None without biases


def _reset_before(hidden_size, inits, activations):
    def init(key, x):
        return ResetBeforeGRUParams(*draw_gates(key, x, hidden_size, 3, inits))

    init_carry = zero_carry(ResetBeforeGRUParams, HiddenCarry, hidden_size)
    return Cell(
        init, init_carry, project, _recur_rz, _update_reset_before(*activations), prepare=_split
    )


def _split(params, context):
    columns = jnp.split(params.recurrent_kernel, [2 * params.recurrent_kernel.shape[0]], axis=-1)
    return _Split(params.kernel, *columns, params.bias)


def _recur_rz(params, carry):
    return matmul(carry.h, params.recurrent_kernel_rz)


@one_for_each
def _update_reset_before(gate_activation, activation):
    @wide_update
    def update(params, carry, u, v, drop=lambda candidate: candidate):
        u_rz, u_n = jnp.split(u, [v.shape[-1]], axis=-1)
        r, z = jnp.split(gate_activation(u_rz + v), 2, axis=-1)
        kernel = params.recurrent_kernel_n
        n = activation(u_n + matmul((r * carry.h).astype(kernel.dtype), kernel))
        return HiddenCarry(z * carry.h + (1 - z) * drop(n))

    return update
