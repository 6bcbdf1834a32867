"""The convolutional gated recurrent unit, with its reset gate after or before the convolution."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import add_bias, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.activations import Activation
from jaxrnn.cells._gated import HiddenCarry, draw_gates, lean_activations, one_for_each, zero_carry
from jaxrnn.cells.conv._convolution import (
    check_kernel_size,
    check_picture,
    convolve,
    for_each_axis,
    projection,
    recur,
)
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class ConvGRUParams(NamedTuple):
    kernel: jax.Array  # (*K, C, 3F), gates r z n
    recurrent_kernel: jax.Array  # (*K, F, 3F)
    bias: jax.Array | None  # (3F,); None without biases
    recurrent_bias: jax.Array | None  # (F,), d, of gate n, inside the product with r


class ResetBeforeConvGRUParams(NamedTuple):
    kernel: jax.Array  # (*K, C, 3F), gates r z n
    recurrent_kernel: jax.Array  # (*K, F, 3F)
    bias: jax.Array | None  # (3F,); None without biases


@constructor
def conv_gru(
    features: int,
    kernel_size: tuple[int, ...],
    *,
    dilation: int | tuple[int, ...] = 1,
    reset_after: bool = True,
    gate_activation: Activation = jax.nn.sigmoid,
    activation: Activation = jnp.tanh,
    kernel_init: Initializer = glorot_uniform(3),
    recurrent_kernel_init: Initializer = orthogonal(3),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Convolutional gated recurrent unit (ConvGRU), in 1, 2 or 3 spatial dimensions.

        r = σ(W_r * x + U_r * h + b_r)
        z = σ(W_z * x + U_z * h + b_z)
        n = tanh(W_n * x + b_n + r (U_n * h + d))    reset_after=True, as in `jaxrnn.gru`
        n = tanh(W_n * x + b_n + U_n * (r h))        reset_after=False, as in the paper
        h' = z h + (1 - z) n

    x and h are pictures with channels last, (..., *S, C) and (..., *S, F), of any size. All
    convolutions, *, are padded with zeros and keep that size. The two forms are different
    functions. With ``reset_after=False`` the convolution with U_n needs r, so each step makes two
    convolutions, one after the other.

    Args:
      features: F, the number of channels of the state.
      kernel_size: K, a tuple of 1 to 3 integers, one for each spatial axis.
      dilation: the step between the elements of the input kernel, one for all axes or one for each.
        The recurrent kernel is not dilated.
      reset_after: whether the reset gate is applied after the recurrent convolution, or before it.
      gate_activation: element-wise, in place of σ.
      activation: element-wise, in place of tanh.
      kernel_init: draws `kernel` (*K, C, 3F).
      recurrent_kernel_init: draws `recurrent_kernel` (*K, F, 3F).
      bias_init: draws `bias` (3F,). The `recurrent_bias` d (F,) starts from zeros.
      use_bias: whether there are biases b and d; without them, both fields are None.

    Returns:
      A `Cell` with carry `HiddenCarry` and parameters `ConvGRUParams`, or
      `ResetBeforeConvGRUParams`; its output is h', (..., *S, F). A sequence is (T, ..., *S, C), and
      a mask or resets (T, ...).

    Raises:
      ValueError, TypeError: a size is not a positive integer, `kernel_size` is not a tuple of 1 to
        3, a choice is not a bool, or an activation is not a function.

    References: Ballas, Yao, Pal and Courville, 2016, "Delving deeper into convolutional networks
    for learning video representations".

    Examples:
      >>> cell = jaxrnn.conv_gru(5, (3,), reset_after=False)  # 5 channels, a window of 3
      >>> xs = jnp.ones((2, 20, 1))  # (B, length, C), one step
      >>> params = jax.eval_shape(cell.init, jax.random.key(0), xs)
      >>> params.kernel.shape, params.recurrent_kernel.shape
      ((3, 1, 15), (3, 5, 15))
      >>> cell.num_feature_axes, cell.init_carry(params, xs).h.shape
      (2, (2, 20, 5))
    """
    check_size("features", features)
    check_kernel_size(kernel_size)
    project = projection(for_each_axis(dilation, len(kernel_size)))
    check_bool("use_bias", use_bias)
    check_bool("reset_after", reset_after)
    activations = lean_activations(gate_activation=gate_activation, activation=activation)
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None
    params_type = ConvGRUParams if reset_after else ResetBeforeConvGRUParams

    def init(key, x):
        check_picture(x, kernel_size)
        drawn = draw_gates(key, x, features, 3, inits, kernel_size=kernel_size)
        if not reset_after:
            return ResetBeforeConvGRUParams(*drawn)
        return ConvGRUParams(*drawn, jnp.zeros((features,), x.dtype) if use_bias else None)

    init_carry = zero_carry(params_type, HiddenCarry, features)
    axes = {"num_feature_axes": len(kernel_size) + 1}
    if reset_after:
        return Cell(init, init_carry, project, recur, _update_with(*activations), **axes)
    update = _update_reset_before(*activations)
    return Cell(init, init_carry, project, _recur_rz, update, prepare=_split, **axes)


@one_for_each
def _update_with(gate_activation: Activation, activation: Activation) -> Callable:
    @wide_update
    def update(params, carry, u, v, drop=lambda candidate: candidate):
        (u_r, u_z, u_n), (v_r, v_z, v_n) = jnp.split(u, 3, axis=-1), jnp.split(v, 3, axis=-1)
        r = gate_activation(u_r + v_r)
        z = gate_activation(u_z + v_z)
        n = activation(u_n + r * add_bias(v_n, params.recurrent_bias))
        return HiddenCarry(z * carry.h + (1 - z) * drop(n))

    return update


class _Split(NamedTuple):
    """`ResetBeforeConvGRUParams`, with the recurrent kernel split by gates."""

    kernel: jax.Array  # (*K, C, 3F)
    recurrent_kernel_rz: jax.Array  # (*K, F, 2F)
    recurrent_kernel_n: jax.Array  # (*K, F, F)
    bias: jax.Array | None  # (3F,); None without biases


def _split(params, context):
    rz_and_n = [2 * params.recurrent_kernel.shape[-2]]
    kernels = jnp.split(params.recurrent_kernel, rz_and_n, axis=-1)
    return _Split(params.kernel, *kernels, params.bias)


def _recur_rz(params, carry):
    return convolve(carry.h, params.recurrent_kernel_rz)


@one_for_each
def _update_reset_before(gate_activation: Activation, activation: Activation) -> Callable:
    @wide_update
    def update(params, carry, u, v, drop=lambda candidate: candidate):
        u_rz, u_n = jnp.split(u, [v.shape[-1]], axis=-1)
        r, z = jnp.split(gate_activation(u_rz + v), 2, axis=-1)
        kernel = params.recurrent_kernel_n
        n = activation(u_n + convolve((r * carry.h).astype(kernel.dtype), kernel))
        return HiddenCarry(z * carry.h + (1 - z) * drop(n))

    return update
