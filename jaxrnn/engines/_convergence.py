"""A report on Newton's method: whether it converges for a cell and a sequence, and how fast."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import MISSING, check_bool, check_given, example
from jaxrnn._core.context import taken
from jaxrnn._core.mesh import with_auto_axes
from jaxrnn._core.shardings import replicated
from jaxrnn._core.timed import check_gaps, inputs_of
from jaxrnn._core.types import Carry, Cell, Params, check_cell
from jaxrnn.engines._contract import check_params_of
from jaxrnn.engines._newton import NEWTON, solution
from jaxrnn.engines._unroll import Arguments, Choices, as_arrays, check_choices, looped, plan
from jaxrnn.engines.newton._iteration import rounds
from jaxrnn.engines.newton._options import Newton


class Convergence(NamedTuple):
    """What `jaxrnn.convergence` reports, as arrays of shape ().

    Attributes:
      iterations: int32, how many there were.
      residual: the largest change of a number of a carry in the last iteration, relative to the
        number where that is above 1.
      converged: bool. Where False, the plain scan runs after the iterations.
      depth: int32, the steps in a row: 2 log2 T for each iteration, and T for a plain scan.
    """

    iterations: jax.Array
    residual: jax.Array
    converged: jax.Array
    depth: jax.Array


def convergence(
    cell: Cell,
    params: Params,
    carry: Carry | None,
    xs: Any = MISSING,
    *,
    mask: jax.Array | None = None,
    resets: jax.Array | None = None,
    context: Any = None,
    reverse: bool = False,
    implementation: str | Newton = "newton",
) -> Convergence:
    """Reports how Newton's method solves an unroll: iterations, residual, and convergence.

    It runs the iterations, and works within `jax.jit`.

    Args:
      cell: as in `jaxrnn.unroll`, and so are `params`, `carry`, `xs`, `mask`, `resets`, `context`
        and `reverse`.
      params: from ``cell.init``.
      carry: the carry before the first step; None means the initial carry.
      xs: inputs (T, ..., I). For T = 0 there is no iteration.
      mask: bool (T, ...), True = a real step.
      resets: bool (T, ...); where True the carry returns to the initial carry before the step.
      context: what the sequence is conditioned on.
      reverse: whether to run from the last step to the first.
      implementation: ``"newton"``, or `jaxrnn.Newton` with options.

    Returns:
      A `jaxrnn.engines.Convergence`, over all rows of the batch together.

    Raises:
      ValueError, TypeError: as in `jaxrnn.unroll`, or `implementation` is another one.

    References: as of `jaxrnn.Newton`.

    Examples:
      >>> cell = jaxrnn.lstm(8)
      >>> xs = jnp.ones((16, 2, 4))  # (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> report = jaxrnn.convergence(cell, params, None, xs)
      >>> bool(report.converged), bool(report.iterations < 16)
      (True, True)
    """
    check_given(xs, "convergence(cell, params, carry, xs)")
    check_cell(cell)
    check_bool("reverse", reverse)
    if not isinstance(implementation, Newton) and implementation != "newton":
        raise ValueError(
            '`implementation` must be "newton" or a `jaxrnn.Newton`, which alone iterates, got '
            f"{implementation!r}."
        )
    choices = Choices(bool(reverse), implementation)
    check_choices(cell, choices)
    values = params, carry, xs, mask, resets, context
    arguments = dict(zip(Arguments._fields, values, strict=True))

    def run(arguments):
        return _report(cell, choices, Arguments(**arguments))

    return with_auto_axes(run, arguments, replicated)


def _report(cell, choices, arguments):
    params, carry, xs, mask, *_, context = arguments
    xs = inputs_of(cell, xs)
    check_gaps(xs, mask)
    check_params_of(cell, params, example(xs))
    (xs,) = as_arrays(xs=xs)
    if carry is not None:
        (carry,) = as_arrays(carry=carry)
    arguments = arguments._replace(xs=xs, carry=carry, context=taken(cell, params, context))
    plan(cell, choices, arguments)
    loop, call = looped(cell, NEWTON, choices.reverse, arguments)
    if loop.length == 0:
        return Convergence(jnp.int32(0), jnp.zeros(()), jnp.bool_(True), jnp.int32(0))
    options = choices.implementation if isinstance(choices.implementation, Newton) else Newton()
    found = solution(options, cell, loop, call)
    rest = jnp.where(found.converged, 0, loop.length)
    depth = rounds(loop.length) * found.iterations + rest.astype(jnp.int32)
    return Convergence(found.iterations, found.residual, found.converged, depth)
