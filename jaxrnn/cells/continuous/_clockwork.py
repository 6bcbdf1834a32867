"""The clockwork recurrent network."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import check_bool, check_features, check_params, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import HiddenCarry, draw_gates, project, recur
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class ClockworkParams(NamedTuple):
    kernel: jax.Array  # (I, H)
    recurrent_kernel: jax.Array  # (H, H); a module reads itself and slower ones
    bias: jax.Array | None  # (H,); None without a bias


class ClockworkCarry(NamedTuple):
    h: jax.Array  # (..., H)
    step: jax.Array  # (...), int32: the number of steps so far


@constructor
def clockwork(
    hidden_size: int,
    periods: tuple[int, ...] = (1, 2, 4, 8),
    *,
    kernel_init: Initializer = glorot_uniform(),
    recurrent_kernel_init: Initializer = orthogonal(),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Clockwork recurrent network: modules that move at different rates.

        h' = tanh(W x + U h + b)    in a module whose period divides the number of the step
        h' = h                      in the others

    The units are split into modules of equal size, one for each period. A module reads itself and
    those with longer periods. Slow modules remember, and fast ones react.

    Args:
      hidden_size: H, a multiple of the number of periods.
      periods: how often each module moves, in steps, from short to long.
      kernel_init: draws `kernel` (I, H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, H).
      bias_init: draws `bias` (H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `ClockworkParams` and carry `ClockworkCarry`; its output is h',
      (..., H). Masked steps are not counted.

    Raises:
      ValueError, TypeError: a size or a period is not a positive integer, the periods are not from
        short to long, or `hidden_size` is no multiple of their number.

    References: Koutník, Greff, Gomez and Schmidhuber, 2014, "A clockwork RNN".

    Examples:
      >>> cell = jaxrnn.clockwork(8, (1, 4))  # four units for each period
      >>> xs = jnp.ones((8, 4))  # (T, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> carry, ys = jaxrnn.unroll(cell, params, None, xs)
      >>> (ys[1:, 4:] != ys[:-1, 4:]).any(axis=1).tolist()  # the slow ones move every fourth step
      [False, False, False, True, False, False, False]
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    _check_periods(periods, hidden_size)
    every = np.repeat(np.array(periods, np.int32), hidden_size // len(periods))
    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None

    def init(key, x):
        return ClockworkParams(*draw_gates(key, x, hidden_size, 1, inits))

    def init_carry(params, x):
        check_params(params, ClockworkParams)
        check_features(x)
        batch = x.shape[:-1]
        zeros = jnp.zeros((*batch, hidden_size), params.kernel.dtype)
        return ClockworkCarry(zeros, jnp.zeros(batch, jnp.int32))

    def prepare(params, context):
        is_read = every[:, None] >= every  # from the units of the rows
        kernel = jnp.where(is_read, params.recurrent_kernel, 0)
        return params._replace(recurrent_kernel=kernel)

    def update(params, carry, u, v):
        h, step = carry
        moves = step[..., None] % every.reshape(*[1] * step.ndim, -1) == 0
        h = _moved(params, HiddenCarry(h), (u, moves), v).h
        return ClockworkCarry(h, step + 1)

    return Cell(init, init_carry, project, recur, update, prepare=prepare)


@wide_update
def _moved(params, carry, u, v):
    u, moves = u
    return HiddenCarry(jnp.where(moves, tanh(u + v), carry.h))


def _check_periods(periods, hidden_size):
    if not isinstance(periods, tuple) or not periods:
        raise TypeError(
            f"`periods` must be a tuple of integers such as (1, 2, 4), got {periods!r}."
        )
    for period in periods:
        check_size("periods", period)
    if list(periods) != sorted(periods):
        raise ValueError(f"`periods` must be from short to long, got {periods}.")
    if hidden_size % len(periods):
        raise ValueError(
            f"`hidden_size` must be a multiple of the number of periods, {len(periods)}, got "
            f"{hidden_size}."
        )
