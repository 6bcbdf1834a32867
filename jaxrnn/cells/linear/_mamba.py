"""The selective state space of Mamba (S6)."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_features, check_params, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import affine, matmul, over_rows, softplus, sum_dtype
from jaxrnn._core.types import Cell
from jaxrnn.cells._affine import Affine
from jaxrnn.cells._gated import draw_each
from jaxrnn.cells.linear._linear import linear_cell
from jaxrnn.initializers import glorot_uniform, in_float32


class MambaParams(NamedTuple):
    kernel: jax.Array  # (I, R + 2N): Δ of rank R, B, C
    step_kernel: jax.Array  # (R, I)
    step_bias: jax.Array  # (I,)
    log_decay: jax.Array  # (I, N), the logarithm of -A
    skip: jax.Array  # (I,), D


class MambaCarry(NamedTuple):
    state: jax.Array  # (..., I, N)


@constructor
def mamba(state_size: int = 16, *, step_rank: int | None = None) -> Cell:
    """Selective state space: N states for each feature, whose rates the input sets (Mamba, S6).

        δ, B, C = W x
        Δ = softplus(W_Δ δ + b_Δ)
        h' = exp(Δ A) h + Δ x Bᵀ,  A = -exp(log_decay)
        y = h' C + D x

    It is the recurrence alone. The block of the paper has a projection, `jaxrnn.causal_conv` and
    swish before it, and a gate and a projection after it. The coefficients are N times as large as
    the input, so a long sequence runs chunk by chunk.

    Args:
      state_size: N.
      step_rank: R, of Δ; None means a sixteenth of the features, rounded up.

    Returns:
      A `Cell` with parameters `MambaParams` and carry `MambaCarry`; its output has as many features
      as its input, (..., I).

    Raises:
      ValueError, TypeError: a size is not a positive integer.

    References: Gu and Dao, 2023, "Mamba: linear-time sequence modeling with selective state
    spaces".

    Examples:
      >>> model = jaxrnn.stack(jaxrnn.causal_conv(None, 3), jaxrnn.rnn(jaxrnn.mamba(16)))
      >>> xs = jax.ShapeDtypeStruct((50, 2, 4), jnp.float32)  # (T, B, I)
      >>> params = jax.eval_shape(model.init, jax.random.key(0), xs)
      >>> (_, carry), ys = jax.eval_shape(model.apply, params, None, xs)
      >>> jax.tree.leaves(carry)[0].shape, ys.shape  # 16 states for each of 4 features
      ((2, 4, 16), (50, 2, 4))
    """
    check_size("state_size", state_size)
    if step_rank is not None:
        check_size("step_rank", step_rank)

    def init(key, x):
        check_features(x)
        size = x.shape[-1]
        rank = step_rank or math.ceil(size / 16)
        parts = {
            "kernel": (glorot_uniform(), (size, rank + 2 * state_size)),
            "step_kernel": (_step_kernel_init, (rank, size)),
            "step_bias": (_step_bias_init, (size,)),
            "log_decay": (_decay_init, (size, state_size)),
            "skip": (jax.nn.initializers.ones, (size,)),
        }
        return MambaParams(*draw_each(key, x, **parts))

    def init_carry(params, x):
        check_params(params, MambaParams)
        check_features(x)
        return MambaCarry(jnp.zeros((*x.shape, state_size), params.kernel.dtype))

    return linear_cell(init, init_carry, _project, output=_output)


@in_float32
def _step_kernel_init(key, shape, dtype):
    bound = shape[0] ** -0.5
    return jax.random.uniform(key, shape, dtype, -bound, bound)


@in_float32
def _step_bias_init(key, shape, dtype):
    """Such that Δ of no input is log-uniform from 0.001 to 0.1."""
    step = jnp.exp(jax.random.uniform(key, shape, dtype, math.log(1e-3), math.log(1e-1)))
    return step + jnp.log(-jnp.expm1(-step))


def _decay_init(key, shape, dtype=jnp.float32):
    """A of each feature is -1, -2, ..., -N (S4D-Real)."""
    return jnp.broadcast_to(jnp.log(jnp.arange(1, shape[1] + 1, dtype=dtype)), shape)


def _project(params, x):
    check_features(x, params.kernel.shape[0], params.kernel.dtype)
    size, rank = params.log_decay.shape[1], params.step_kernel.shape[0]
    low, b, c = jnp.split(matmul(x, params.kernel), [rank, rank + size], axis=-1)
    delta = softplus(affine(low.astype(x.dtype), params.step_kernel, params.step_bias))
    rates = -jnp.exp(params.log_decay.astype(sum_dtype(x.dtype)))
    a = jnp.exp(delta[..., None] * over_rows(rates, delta[..., None]))
    b = (delta * x.astype(delta.dtype))[..., None] * b[..., None, :]
    return Affine(*(MambaCarry(part.astype(x.dtype)) for part in (a, b)), extra=(c, x))


def _output(params, carry, u):
    c, x = u.extra
    y = (carry.state.astype(c.dtype) * c[..., None, :]).sum(-1)
    return (y + over_rows(params.skip, y) * x.astype(y.dtype)).astype(x.dtype)
