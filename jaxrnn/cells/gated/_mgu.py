"""The minimal gated unit (MGU)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import matmul, tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import HiddenCarry, of_gates
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class MGUParams(NamedTuple):
    kernel: jax.Array  # (I, 2H), gates f n
    recurrent_kernel: jax.Array  # (H, 2H)
    bias: jax.Array | None  # (2H,); None without a bias


class _Split(NamedTuple):
    """`MGUParams`, with the recurrent kernel split by columns."""

    kernel: jax.Array  # (I, 2H)
    recurrent_kernel_f: jax.Array  # (H, H)
    recurrent_kernel_n: jax.Array  # (H, H)
    bias: jax.Array | None  # (2H,)


@constructor
def mgu(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(2),
    recurrent_kernel_init: Initializer = orthogonal(2),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Minimal gated unit: a GRU whose only gate forgets and resets (MGU).

        f = σ(W_f x + U_f h + b_f)
        n = tanh(W_n x + U_n (f h) + b_n)
        h' = (1 - f) h + f n

    The product with U_n needs f, so each step makes two products, one after the other.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, 2H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 2H).
      bias_init: draws `bias` (2H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `MGUParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Zhou, Wu, Zhang and Zhou, 2016, "Minimal gated unit for recurrent neural networks".

    Examples:
      >>> cell = jaxrnn.mgu(8)
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> params.kernel.shape, params.recurrent_kernel.shape  # gates f n
      ((4, 16), (8, 16))
      >>> closed = params._replace(bias=jnp.where(jnp.arange(16) < 8, -50.0, 0.0))  # f is almost 0
      >>> carry, _ = jaxrnn.unroll(cell, closed, None, xs)
      >>> bool(jnp.allclose(carry.h, 0.0))
      True
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None
    cell = of_gates(MGUParams, HiddenCarry, hidden_size, 2, inits, _update)
    return cell._replace(recur=_recur, prepare=_split)


def _split(params, context):
    columns = jnp.split(params.recurrent_kernel, 2, axis=-1)
    return _Split(params.kernel, *columns, params.bias)


def _recur(params, carry):
    return matmul(carry.h, params.recurrent_kernel_f)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    u_f, u_n = jnp.split(u, 2, axis=-1)
    f = jax.nn.sigmoid(u_f + v)
    kernel = params.recurrent_kernel_n
    n = tanh(u_n + matmul((f * carry.h).astype(kernel.dtype), kernel))
    return HiddenCarry((1 - f) * carry.h + f * drop(n))
