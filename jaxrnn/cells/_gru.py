"""The gated recurrent unit, with its reset gate after or before the recurrent product."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._checks import check_params, check_size
from jaxrnn._gates import draw_gates, project, recur
from jaxrnn._initializers import Initializer, glorot_uniform, orthogonal
from jaxrnn._precision import matmul, wide_update
from jaxrnn._tanh import tanh
from jaxrnn._types import Cell, from_step


class GRUParams(NamedTuple):
    kernel: jax.Array  # (I, 3H), gates r z n
    recurrent_kernel: jax.Array  # (H, 3H)
    bias: jax.Array  # (3H,)
    recurrent_bias: jax.Array  # (H,), of n, inside the product with r


class ResetBeforeGRUParams(NamedTuple):
    kernel: jax.Array  # (I, 3H), gates r z n
    recurrent_kernel: jax.Array  # (H, 3H)
    bias: jax.Array  # (3H,)


class GRUCarry(NamedTuple):
    h: jax.Array  # (..., H)


def gru(
    hidden_size: int,
    reset_after: bool = True,
    *,
    kernel_init: Initializer = glorot_uniform(3),
    recurrent_kernel_init: Initializer = orthogonal(3),
    bias_init: Initializer = jax.nn.initializers.zeros,
) -> Cell:
    """Gated recurrent unit.

        r = σ(W_r x + U_r h + b_r)
        z = σ(W_z x + U_z h + b_z)
        n = tanh(W_n x + b_n + r (U_n h + d))        reset_after=True, as torch and cuDNN have it
        n = tanh(W_n x + b_n + U_n (r h))            reset_after=False, as in the paper
        h' = z h + (1 - z) n

    The two are different functions, and weights of one do not fit the other. With
    ``reset_after=False`` the second product needs r, so that cell does not split: it runs on the
    plain scan, without the fast forms.

    Args:
      hidden_size: H.
      reset_after: whether the reset gate multiplies after the recurrent product, or before it.
      kernel_init: draws `kernel` (I, 3H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 3H).
      bias_init: draws `bias` (3H,). The `recurrent_bias` d (H,) starts from zeros.

    Returns:
      A `Cell` with carry `GRUCarry` and parameters `GRUParams`, or `ResetBeforeGRUParams`; its
      output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer.

    References: Cho et al., 2014, "Learning phrase representations using RNN encoder-decoder for
    statistical machine translation"; reset after the product: Appleyard, Kočiský and Blunsom, 2016,
    "Optimizing performance of recurrent neural networks on GPUs".
    """
    check_size("hidden_size", hidden_size)

    inits = kernel_init, recurrent_kernel_init, bias_init

    def draw(key, x):
        return draw_gates(key, x, hidden_size, 3, inits)

    build = _reset_after if reset_after else _reset_before
    return build(hidden_size, draw)


def _reset_after(hidden_size, draw):
    def init(key, x):
        return GRUParams(*draw(key, x), jnp.zeros((hidden_size,), x.dtype))

    return Cell(init, _init_carry(hidden_size, GRUParams), project, recur, _update)


def _reset_before(hidden_size, draw):
    def init(key, x):
        return ResetBeforeGRUParams(*draw(key, x))

    def step(params, carry, x):
        return _update_reset_before(params, carry, x, ())

    cell = from_step(init, _init_carry(hidden_size, ResetBeforeGRUParams), step)
    return cell._replace(update=_update_reset_before)


def _init_carry(hidden_size, params_type):
    def init_carry(params, x):
        check_params(params, params_type)
        return GRUCarry(jnp.zeros((*x.shape[:-1], hidden_size), params.kernel.dtype))

    return init_carry


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    (u_r, u_z, u_n), (v_r, v_z, v_n) = jnp.split(u, 3, axis=-1), jnp.split(v, 3, axis=-1)
    r = jax.nn.sigmoid(u_r + v_r)
    z = jax.nn.sigmoid(u_z + v_z)
    n = tanh(u_n + r * (v_n + params.recurrent_bias.astype(v.dtype)))
    h = z * carry.h + (1 - z) * drop(n)
    return GRUCarry(h), h


@wide_update
def _update_reset_before(params, carry, x, v, drop=lambda candidate: candidate):
    hidden_size = carry.h.shape[-1]
    u_rz, u_n = jnp.split(project(params, x), [2 * hidden_size], axis=-1)
    kernel_rz, kernel_n = jnp.split(params.recurrent_kernel, [2 * hidden_size], axis=-1)
    v_rz = matmul(carry.h.astype(kernel_rz.dtype), kernel_rz)
    r, z = jnp.split(jax.nn.sigmoid(u_rz + v_rz), 2, axis=-1)
    v_n = matmul((r * carry.h).astype(kernel_n.dtype), kernel_n)
    n = tanh(u_n + v_n)
    h = z * carry.h + (1 - z) * drop(n)
    return GRUCarry(h), h
