"""Long short-term memory with a projected hidden state (LSTMP)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_features, check_key, check_size
from jaxrnn._core.drawing import draw
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import matmul, tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import LSTMCarry, project, recur, zero_carry
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal, unit_forget_bias


class ProjectedLSTMParams(NamedTuple):
    kernel: jax.Array  # (I, 4H), gates i f g o
    recurrent_kernel: jax.Array  # (P, 4H)
    bias: jax.Array | None  # (4H,); None without a bias
    projection: jax.Array  # (H, P)


@constructor
def projected_lstm(
    hidden_size: int,
    projection_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(4),
    recurrent_kernel_init: Initializer = orthogonal(4),
    bias_init: Initializer = unit_forget_bias(),
    use_bias: bool = True,
    projection_init: Initializer = orthogonal(),
) -> Cell:
    """Long short-term memory cell with a recurrent projection, like `proj_size` in torch.

        i, f, g, o = W x + U h + b
        c' = σ(f) c + σ(i) tanh(g)
        h' = R (σ(o) tanh(c'))

    The memory c has H units, but the gates and the next layer read only the P units of h, so the
    recurrent kernel has 4 H P weights instead of 4 H². As in torch, this cell omits the paper's
    peepholes and its second projection, which the recurrence does not read.

    `update` multiplies by R, so each step makes two products. The gradient of R is one product
    after the backward loop, like the gradient of U.

    Args:
      hidden_size: H.
      projection_size: P, less than H.
      kernel_init: draws `kernel` (I, 4H).
      recurrent_kernel_init: draws `recurrent_kernel` (P, 4H).
      bias_init: draws `bias` (4H,); ``jaxrnn.initializers.chrono(max_time)`` for long dependencies.
      use_bias: whether there is a bias b; without one, `bias` is None.
      projection_init: draws `projection` (H, P).

    Returns:
      A `Cell` with parameters `ProjectedLSTMParams` and carry `LSTMCarry`, with h (..., P) and c
      (..., H); its output is h'.

    Raises:
      ValueError, TypeError: a size is not a positive integer, P is not less than H, or `use_bias`
        is not a bool.

    References: Sak, Senior and Beaufays, 2014, "Long short-term memory recurrent neural network
    architectures for large scale acoustic modeling".

    Examples:
      >>> cell = jaxrnn.projected_lstm(64, 16)
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = jax.eval_shape(cell.init, jax.random.key(0), xs[0])
      >>> params.recurrent_kernel.shape, params.projection.shape
      ((16, 256), (64, 16))
      >>> carry, ys = jax.eval_shape(jaxrnn.rnn(cell).apply, params, None, xs)
      >>> carry.h.shape, carry.c.shape, ys.shape
      ((2, 16), (2, 64), (5, 2, 16))
    """
    check_size("hidden_size", hidden_size)
    check_size("projection_size", projection_size)
    check_bool("use_bias", use_bias)
    if projection_size >= hidden_size:
        raise ValueError(
            f"`projection_size` must be less than `hidden_size` = {hidden_size}, got "
            f"{projection_size}. Are the two exchanged? Without a projection, use `jaxrnn.lstm`."
        )
    gates = 4 * hidden_size
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None, projection_init

    def init(key, x):
        check_key(key)
        check_features(x)
        recurrent = (projection_size, gates), (gates,), (hidden_size, projection_size)
        shapes = (x.shape[-1], gates), *recurrent
        keys = jax.random.split(key, len(inits))
        draws = zip(ProjectedLSTMParams._fields, inits, keys, shapes, strict=True)
        return ProjectedLSTMParams(*(draw(*given, x.dtype) for given in draws))

    sizes = projection_size, hidden_size
    init_carry = zero_carry(ProjectedLSTMParams, LSTMCarry, *sizes)
    return Cell(init, init_carry, project, recur, _update)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    i, f, g, o = jnp.split(u + v, 4, axis=-1)
    c = jax.nn.sigmoid(f) * carry.c + jax.nn.sigmoid(i) * drop(tanh(g))
    m = jax.nn.sigmoid(o) * tanh(c)
    h = matmul(m.astype(params.projection.dtype), params.projection)
    return LSTMCarry(h, c)
