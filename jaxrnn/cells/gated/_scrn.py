"""The structurally constrained recurrent network (SCRN)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_features, check_rate, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import affine, matmul, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import draw_each, zero_carry
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class SCRNParams(NamedTuple):
    kernel: jax.Array  # (I, H), A
    slow_kernel: jax.Array  # (I, S), B
    slow_to_hidden_kernel: jax.Array  # (S, H), P
    recurrent_kernel: jax.Array  # (H, H), R
    bias: jax.Array | None  # (H,); None without a bias


class SCRNCarry(NamedTuple):
    h: jax.Array  # (..., H)
    s: jax.Array  # (..., S), which changes slowly


@constructor
def scrn(
    hidden_size: int,
    slow_size: int,
    *,
    alpha: float = 0.95,
    kernel_init: Initializer = glorot_uniform(),
    slow_kernel_init: Initializer = glorot_uniform(),
    slow_to_hidden_kernel_init: Initializer = glorot_uniform(),
    recurrent_kernel_init: Initializer = orthogonal(),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Structurally constrained recurrent network: some units change slowly, and so remember (SCRN).

        s' = (1 - α) B x + α s
        h' = σ(A x + P s' + R h + b)

    The slow units are averages of their inputs over about 1 / (1 - α) steps.

    Args:
      hidden_size: H.
      slow_size: S, the number of slow units.
      alpha: what a slow unit keeps at each step, in [0, 1).
      kernel_init: draws `kernel` (I, H).
      slow_kernel_init: draws `slow_kernel` (I, S).
      slow_to_hidden_kernel_init: draws `slow_to_hidden_kernel` (S, H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, H).
      bias_init: draws `bias` (H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `SCRNParams` and carry `SCRNCarry`; its output is h' and s',
      (..., H + S).

    Raises:
      ValueError, TypeError: a size is not a positive integer, `alpha` is not in [0, 1), or
        `use_bias` is not a bool.

    References: Mikolov, Joulin, Chopra, Mathieu and Ranzato, 2015, "Learning longer memory in
    recurrent neural networks".

    Examples:
      >>> cell, one = jaxrnn.scrn(1, 1, alpha=0.5), jnp.ones((1, 1))
      >>> params = jaxrnn.cells.SCRNParams(one, one, one, one, jnp.zeros(1))
      >>> carry, ys = jaxrnn.unroll(cell, params, None, jnp.ones((4, 1)))  # (T, I)
      >>> carry.s.tolist(), ys.shape  # 1 - 0.5 ** 4, and the output is h and s
      ([0.9375], (4, 2))
    """
    check_size("hidden_size", hidden_size)
    check_size("slow_size", slow_size)
    check_bool("use_bias", use_bias)
    alpha = check_rate("alpha", alpha)

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (x.shape[-1], hidden_size)),
            "slow_kernel": (slow_kernel_init, (x.shape[-1], slow_size)),
            "slow_to_hidden_kernel": (slow_to_hidden_kernel_init, (slow_size, hidden_size)),
            "recurrent_kernel": (recurrent_kernel_init, (hidden_size, hidden_size)),
            "bias": (bias_init if use_bias else None, (hidden_size,)),
        }
        return SCRNParams(*draw_each(key, x, **parts))

    def project(params, x):
        check_features(x, params.kernel.shape[0], params.kernel.dtype)
        slow = (1 - alpha) * matmul(x, params.slow_kernel)
        given = affine(x, params.kernel, params.bias)
        return given + _to_hidden(params, slow), slow

    def recur(params, carry):
        return matmul(carry.h, params.recurrent_kernel) + _to_hidden(params, alpha * carry.s)

    @wide_update
    def update(params, carry, u, v):
        given, slow = u
        return SCRNCarry(jax.nn.sigmoid(given + v), slow + alpha * carry.s)

    init_carry = zero_carry(SCRNParams, SCRNCarry, hidden_size, slow_size)
    return Cell(init, init_carry, project, recur, update, _output)


def _to_hidden(params, slow):
    kernel = params.slow_to_hidden_kernel
    return matmul(slow.astype(kernel.dtype), kernel)


def _output(params, carry, u):
    return jnp.concatenate(carry, axis=-1)
