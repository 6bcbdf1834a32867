"""One time step of a cell or of a layer."""

import functools
from typing import Any

import jax

from jaxrnn._core.checks import MISSING, check_given
from jaxrnn._core.context import prepared, taken
from jaxrnn._core.memo import call_shapes, remembered, remembering
from jaxrnn._core.mesh import with_auto_axes
from jaxrnn._core.shardings import like_step
from jaxrnn._core.timed import check_gaps, inputs_of
from jaxrnn._core.types import Carry, Cell, Layer, Params, advance, check_cell
from jaxrnn.engines._contract import check_given_carry, check_params_of
from jaxrnn.engines._unroll import as_arrays


def step(
    cell: Cell | Layer,
    params: Params,
    carry: Carry | None,
    x: Any = MISSING,
    *,
    context: Any = None,
    key: jax.Array | None = None,
) -> tuple[Carry, Any]:
    """One time step, without a time axis: the body of a `jax.lax.scan`, or a turn of a stream.

    Args:
      cell: a cell, or a layer.
      params: from its `init`.
      carry: from its `init_carry` or the step before; None means the initial carry.
      x: the input, (..., I); of a cell that reads time, `jaxrnn.Timed(x, dt)`.
      context: as in `jaxrnn.unroll`.
      key: the random key of a layer; None means deterministic. A cell takes its noise as
        `jaxrnn.Noisy` inputs.

    Returns:
      The new carry, of the same structure, shapes and dtypes, and the output y, without a time
      axis.

    Raises:
      ValueError, TypeError: `x` or `carry` does not fit the cell and its parameters, or a key is
        given to a cell.

    Examples:
      >>> cell, carry = jaxrnn.lstm(8), None
      >>> params = cell.init(jax.random.key(0), jnp.ones((2, 4)))  # (B, I)
      >>> for x in jnp.ones((3, 2, 4)):  # inputs as they arrive
      ...     carry, y = jaxrnn.step(cell, params, carry, x)
      >>> y.shape
      (2, 8)
    """
    check_given(x, "step(cell, params, carry, x)")
    if isinstance(cell, Layer):
        xs = jax.tree.map(lambda leaf: leaf[None], as_arrays(x=x)[0])
        carry, ys = cell.apply(params, carry, xs, key=key, context=context)
        return carry, jax.tree.map(lambda y: y[0], ys)
    check_cell(cell)
    if key is not None:
        raise ValueError(
            "`key` is for a layer, and this is a cell. Draw the noise of a cell with `cell.noise` "
            "and pass `jaxrnn.Noisy(x, noise)`, or step `jaxrnn.rnn(cell)`."
        )
    arguments = {"params": params, "carry": carry, "x": x, "context": context}
    return with_auto_axes(functools.partial(_step_cell, cell), arguments, like_step)


def _step_cell(cell, arguments):
    params, carry, x, context = arguments.values()
    (x,) = as_arrays(x=inputs_of(cell, x))
    check_gaps(x, None)
    if carry is not None:
        (carry,) = as_arrays(carry=carry)
    with remembering():
        remembered(_check, cell, None, (params, carry, x))
    context = taken(cell, params, context)
    run = _advance if cell.fixed_key is None else _compiled_advance
    return run(cell, params, carry, x, context)


def _check(cell, _, arguments):
    params, carry, x = arguments
    check_params_of(cell, params, x)
    if carry is not None:
        check_given_carry(carry, call_shapes(cell.init_carry, params, x))


def _advance(cell, params, carry, x, context):
    if carry is None:
        (carry,) = as_arrays(carry=cell.init_carry(params, x))
    params = prepared(cell, params, context)
    return advance(cell, params, carry, cell.project(params, x))


# For a cell that cannot change: an equal one finds the same program.
_compiled_advance = jax.jit(_advance, static_argnums=0)
