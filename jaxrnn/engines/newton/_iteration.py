"""The iteration: all carries of an unroll from a guess of them, by linear recurrences."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn._core.loop import Loop, scan, varying_like
from jaxrnn._core.types import Carry, Cell, Params
from jaxrnn.engines.linear._linear_scan import states as diagonal_recurrence
from jaxrnn.engines.newton._jacobians import diagonals, matrices
from jaxrnn.engines.newton._matrix_recurrence import solved
from jaxrnn.engines.newton._options import Newton
from jaxrnn.engines.newton._rows import Rows, before

# Where a row of the carry has more floats, products of full matrices cost more than the scan.
LARGEST_FULL = 64

# In spacings of numbers at 1. On GRU, LSTM and LEM of 4 and 32 units rounding alone changed up to 3
# of them an iteration, for T = 512 and 4096 alike. Where it changes more, an iteration that changes
# no less than the one before ends it, from `STALLED` times this on.
TOLERANCE = 4
STALLED = 4


class Solution(NamedTuple):
    """What the iteration came to.

    Attributes:
      before: the carries (T, ...) before each step.
      after: the carries (T, ...) after each step; of no use where it did not converge.
      iterations: int32, how many there were.
      residual: the largest change in the last of them, relative where a number is above 1.
      converged: bool, whether that is within the tolerance, or as small as rounding allows.
    """

    before: Carry
    after: Carry
    iterations: jax.Array
    residual: jax.Array
    converged: jax.Array


def form(options: Newton, size: int) -> str:
    """``"full"`` or ``"diagonal"``, for carries of `size` floats a row."""
    if options.jacobian is not None:
        return options.jacobian
    return "full" if size <= LARGEST_FULL else "diagonal"


def rounds(length: int) -> int:
    """How many steps in a row a linear recurrence over `length` steps takes: 2 log2 T."""
    return max(1, 2 * math.ceil(math.log2(length)))


def iterate(
    options: Newton, rows: Rows, cell: Cell, loop: Loop, params: Params, carry: Carry, us: Any
) -> Solution:
    """Solves ``carry_t = step(carry_{t-1})`` for all t of a sequence of at least one step.

    Args:
      options: how.
      rows: of `carry`.
      cell: a cell whose rows are independent.
      loop: the number of steps and their direction.
      params: prepared.
      carry: before the first step.
      us: projected inputs (T, ...).
    """
    first = rows.join(carry)
    recurrence = _recurrence(form(options, rows.size), 1 - options.damping, loop.reverse)
    tolerance = options.tolerance or TOLERANCE * float(jnp.finfo(first.dtype).eps)
    stalled = tolerance if options.tolerance else STALLED * tolerance

    def step(from_rows):
        carries = rows.split(from_rows)
        over_time = jax.vmap(cell.update, in_axes=(None, 0, 0, 0))
        return rows.join(over_time(params, carries, us, cell.recur(params, carries)))

    def improve(state):
        count, guess, residual, _ = state
        stepped, linear = jax.linearize(step, before(guess, first, reverse=loop.reverse))
        residuals = stepped - guess
        # Where nothing before a step changes, this is `stepped` to the last bit. So each iteration
        # makes one more step exact.
        better = stepped + (recurrence(linear, residuals) - residuals)
        # Products of many steps may overflow. Whatever a step starts from, it stays in range.
        better = jnp.where(jnp.isfinite(better), better, stepped)
        change = jnp.abs(better - guess) / jnp.maximum(jnp.abs(better), 1)
        return count + 1, better, jnp.max(change, initial=0), residual

    def is_done(residual, previous):
        return (residual <= tolerance) | ((residual <= stalled) & (residual >= previous))

    def goes_on(state):
        count, _, residual, previous = state
        return (count < bound) & ~is_done(residual, previous)

    bound = min(options.max_iterations, loop.length + 1)  # the last one finds no change
    guess = jnp.broadcast_to(first, (loop.length, *first.shape))
    infinite = jnp.full((), jnp.inf, first.dtype)
    start = varying_like((params, carry, us), (jnp.int32(0), guess, infinite, infinite))
    count, after, residual, previous = lax.while_loop(goes_on, improve, start)
    return Solution(
        rows.split(before(after, first, reverse=loop.reverse)),
        rows.split(after),
        count,
        residual,
        is_done(residual, previous),
    )


def _recurrence(form: str, factor: float, reverse: bool) -> Callable:
    """``(linear, residuals) -> changes``, d_t = factor J_t d_{t-1} + r_t from a d of zeros."""

    def run(linear, residuals):
        if form == "full":
            return solved(factor * matrices(linear, residuals), residuals, reverse=reverse)
        a = factor * diagonals(linear, residuals)
        return diagonal_recurrence(a, residuals, jnp.zeros_like(residuals[0]), reverse=reverse)

    return run


def step_by_step(
    cell: Cell, loop: Loop, params: Params, carry: Carry, us: Any
) -> tuple[Carry, Carry]:
    """The carries before and after each step, by a plain scan."""

    def step(carry, u):
        new = cell.update(params, carry, u, cell.recur(params, carry))
        return new, (carry, new)

    return scan(loop, step, carry, us)[1]
