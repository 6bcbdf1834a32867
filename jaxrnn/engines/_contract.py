"""What `unroll` and `step` require of a cell and of the arrays that it runs on."""

import functools
from typing import Any

import jax

from jaxrnn._core.checks import describe
from jaxrnn._core.dependency import nonlinear_term
from jaxrnn._core.flags import check_flags_fit, check_no_features
from jaxrnn._core.matching import check_carry, check_drawn
from jaxrnn._core.memo import remembered
from jaxrnn._core.noise import batch_axes, without_noise
from jaxrnn._core.types import Carry, Cell, Params, advance, is_whole
from jaxrnn.engines._table import Traits


def check_params_of(cell: Cell, params: Params, x: Any) -> None:
    """Raises unless `params` are as the `init` of `cell` draws them for inputs like `x`."""
    remembered(_check_drawn, cell, None, (params, without_noise(x)))


def _check_drawn(cell, _, arguments):
    params, x = arguments
    check_drawn(params, cell.init, x, repr(cell))


def check_arguments(
    cell: Cell, params: Params, carry: Carry | None, initial: Carry, x: Any, mask: Any, resets: Any
) -> tuple[Any, Traits]:
    """Raises unless everything fits; of all but `cell`, shapes and dtypes are read.

    Args:
      cell: what is to run.
      params: prepared.
      carry: before the first step, or None.
      initial: from ``cell.init_carry``.
      x: an example of one step.
      mask: bool (T, ...) or None.
      resets: bool (T, ...) or None.

    Returns:
      The output of one step, in shape, and what is known of the functions of `cell`. A rule for
      derivatives knows only what it is given: a traced array that they close over would get no
      gradient.
    """
    if carry is not None:
        check_given_carry(carry, initial)
    batch = batch_axes(without_noise(x), cell.num_feature_axes)
    check_no_features("mask", mask, batch)
    check_no_features("resets", resets, batch)
    trace = jax.make_jaxpr(functools.partial(checked_step, cell), return_shape=True)
    jaxpr, (new, y) = trace(params, initial, x)
    check_flags_fit("mask", mask, (new, y))
    check_flags_fit("resets", resets, new)
    term = nonlinear_term(cell.recur, params, initial)
    if term is not None:
        raise ValueError(
            f"`recur` of {cell!r} must be linear in the carry, and its term {term} is not. Its "
            "derivative would be wrong: move what is not linear into `update`, which gets the "
            "carry too."
        )
    is_closed = not any(isinstance(const, jax.core.Tracer) for const in jaxpr.consts)
    return y, Traits(is_closed, bool(jaxpr.effects))


def check_given_carry(carry: Carry, initial: Carry) -> None:
    """Raises unless a carry that a user gives is like the initial one."""
    cause = (
        "A carry comes from `init_carry` for the same batch, or from the call before; one from "
        "another library may have its fields in another order, such as (c, h)."
    )
    check_carry(carry, initial, cause=cause)


def checked_step(cell: Cell, params: Params, carry: Carry, x: Any) -> tuple[Carry, Any]:
    """One step from the initial carry, with checks of what `update` returns."""
    u = cell.project(params, x)
    if is_whole(cell):
        new, y = advance(cell, params, carry, u)
        _check_new(cell, new, carry, x)
        return new, y
    new = cell.update(params, carry, u, cell.recur(params, carry))
    _check_is_no_pair(new, carry)
    _check_new(cell, new, carry, x)
    return new, cell.output(params, new, u)


def _check_is_no_pair(new, carry):
    def structure(tree):
        return jax.tree.structure(tree)

    if type(new) is tuple and len(new) == 2 and structure(new) != structure(carry):
        raise TypeError(
            "`update` must return the new carry alone, and returned a pair. Put the output into a "
            "function of its own, `output(params, carry, u)`; where it is the `h` of the new "
            "carry, or a carry that is one array, leave that out."
        )


def _check_new(cell, new, carry, x):
    batch = batch_axes(without_noise(x), cell.num_feature_axes)
    for got, given in zip(jax.tree.leaves(new), jax.tree.leaves(carry), strict=False):
        if batch and tuple(got.shape) == (*batch, *given.shape):
            raise ValueError(
                f"`init_carry` must return a carry with the batch axes of its input: `update` "
                f"returns {describe(got)}, and `init_carry` {describe(given)}. Begin its shapes "
                "with `x.shape[:-1]`, as in `jnp.zeros((*x.shape[:-1], hidden_size), x.dtype)`."
            )
    cause = "The `update` of a cell must return a carry like the one it was given."
    check_carry(new, carry, name="new carry", cause=cause)
