"""Running a cell: one step, or a whole sequence by one of several implementations."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._checks import (
    check_carry,
    check_flags,
    check_flags_fit,
    check_sequence,
    describe,
    example,
)
from jaxrnn._derivative import trajectory
from jaxrnn._loop import Loop, scan, varying_like
from jaxrnn._masking import blank, masked, resetting, resetting_params
from jaxrnn._types import Carry, Cell, Layer, Params, splits


def step(cell: Cell, params: Params, carry: Carry, x: Any) -> tuple[Carry, Any]:
    """One time step: the body of a `jax.lax.scan`.

    Args:
      cell: what to run.
      params: from ``cell.init``.
      carry: from ``cell.init_carry`` or the step before, (..., H) a leaf.
      x: the input, (..., I).

    Returns:
      The new carry, of the same structure, shapes and dtypes, and the output y.

    Raises:
      ValueError, TypeError: `x` or `carry` does not fit `cell` and `params`.
    """
    check_cell(cell)
    carry = _arrays("carry", carry)
    _check_initial(carry, jax.eval_shape(cell.init_carry, params, x))
    return _step(cell, params, carry, x)


def unroll(
    cell: Cell,
    params: Params,
    carry: Carry | None,
    xs: Any,
    *,
    mask: jax.Array | None = None,
    resets: jax.Array | None = None,
    reverse: bool = False,
    implementation: str | None = None,
) -> tuple[Carry, Any]:
    """Runs a cell over a sequence.

    Args:
      cell: what to run at each step.
      params: from ``cell.init``.
      carry: the carry before the first step; None means ``cell.init_carry(params, xs[0])``.
      xs: inputs, time first: (T, ..., I), or a pytree of such arrays. T may be 0.
      mask: bool (T, ...), True = a real step. Where False the carry is held and the output is
        zero, and nothing that the padding holds reaches an output, a carry or a gradient; its
        reset is not read either.
      resets: bool (T, ...); where True the carry returns to ``cell.init_carry`` before the step.
        No gradient crosses a reset.
      reverse: whether to run from the last step to the first. Outputs stay where their inputs are.
      implementation: how to run it. All give the same numbers.

        - ``"scan"``: a plain `jax.lax.scan` of `step`, with JAX's own autodiff. The definition.
        - ``"xla"``: the input projection is one product before the loop, and the weight gradients
          are one product each after the backward loop. For cells that split.
        - None: ``"xla"`` for a cell that splits, ``"scan"`` for one from `from_step`, on every
          platform; also ``"scan"`` where the functions of the cell close over a traced array.

    Returns:
      The carry after the last step, and the outputs ys, (T, ..., H).

    Raises:
      ValueError, TypeError: an argument does not fit the others, or `implementation` is unknown or
        cannot run `cell`.
    """
    check_cell(cell)
    choose(cell, implementation)
    length = check_sequence(xs)
    xs = _arrays("xs", xs)
    check_flags("mask", mask, xs)
    check_flags("resets", resets, xs)
    x = example(xs)
    initial = jax.eval_shape(cell.init_carry, params, x)
    if carry is not None:
        carry = _arrays("carry", carry)
        _check_initial(carry, initial)
    trace = jax.make_jaxpr(functools.partial(_step, cell), return_shape=True)
    jaxpr, (new, y) = trace(params, initial, x)
    _check_new(new, initial)
    check_flags_fit("mask", mask, (initial, y))
    check_flags_fit("resets", resets, initial)
    closes_over_traced = any(isinstance(const, jax.core.Tracer) for const in jaxpr.consts)
    run = choose(cell, implementation, closes_over_traced)
    return _run(cell, run, Loop(length, bool(reverse)), params, carry, xs, mask, resets)


def _step(cell, params, carry, x):
    return cell.update(params, carry, cell.project(params, x), cell.recur(params, carry))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _run(cell, run, loop, params, carry, xs, mask, resets):
    """`run` on the cell as masked and reset. Compiled as one, so that eager calls compile once."""
    xs = blank(mask, xs)
    initial = _arrays("carry", cell.init_carry(params, jax.tree.map(_first, xs)))
    carry = varying_like(xs, initial if carry is None else carry)
    if resets is not None:
        cell, params = resetting(cell), resetting_params(cell, params, initial)
        xs = (xs, resets)
    if mask is not None:
        cell, xs = masked(cell), (xs, mask)
    return run(cell, loop, params, carry, xs)


def _run_scan(cell, loop, params, carry, xs):
    return scan(loop, lambda carry, x: _step(cell, params, carry, x), carry, xs)


def _run_xla(cell, loop, params, carry, xs):
    us = cell.project(params, xs)
    carry, ys, _, _ = trajectory(cell, loop, params, carry, us)
    return carry, ys


_IMPLEMENTATIONS = {"scan": _run_scan, "xla": _run_xla}


def choose(cell: Cell, implementation: str | None, closes_over_traced: bool = False) -> Callable:
    """What runs `cell`; raises where the named implementation cannot.

    A rule for derivatives knows only what it is given: an array that the functions of a cell close
    over would get no gradient. Where such an array is traced, the plain scan runs the cell.
    """
    if implementation is None:
        implementation = "xla" if splits(cell) and not closes_over_traced else "scan"
    if implementation not in _IMPLEMENTATIONS:
        raise ValueError(
            f"`implementation` must be None or one of {sorted(_IMPLEMENTATIONS)}, got "
            f"{implementation!r}."
        )
    if implementation != "scan" and not splits(cell):
        raise ValueError(
            f"`implementation={implementation!r}` needs a cell that splits into project, recur and "
            "update, and this one was made by `from_step` as a whole. Use None or 'scan'."
        )
    if implementation != "scan" and closes_over_traced:
        raise ValueError(
            f"`implementation={implementation!r}` cannot run a cell whose functions close over a "
            "traced array, for it would get no gradient. Make the array one of the parameters, or "
            "use None or 'scan'."
        )
    return _IMPLEMENTATIONS[implementation]


def check_cell(cell: Cell) -> None:
    """Raises unless `cell` is a `Cell`."""
    if isinstance(cell, Layer):
        raise TypeError("`cell` must be a Cell, got a Layer. Run a layer with its own `apply`.")
    if not isinstance(cell, Cell):
        raise TypeError(
            f"`cell` must be a Cell such as `jaxrnn.lstm(128)`, got {cell!r}. "
            "Make one of your own with `jaxrnn.Cell` or `jaxrnn.from_step`."
        )


def _check_initial(carry, expected):
    cause = (
        "A carry comes from `init_carry` for the same batch, or from the call before; one from "
        "another library may have its fields in another order, such as (c, h)."
    )
    check_carry(carry, expected, cause=cause)


def _check_new(new, carry):
    cause = "The `update` of a cell must return a carry like the one it was given."
    check_carry(new, carry, name="new carry", cause=cause)


def _arrays(name, tree):
    """`tree` with every leaf an array whose dtype is its own, no Python scalar's weak one."""

    def convert(leaf):
        try:
            leaf = jnp.asarray(leaf)
        except (TypeError, ValueError) as error:
            raise TypeError(f"`{name}` must hold arrays only, got {describe(leaf)}.") from error
        return jax.lax.convert_element_type(leaf, leaf.dtype) if leaf.weak_type else leaf

    return jax.tree.map(convert, tree)


def _first(xs):
    return xs[0] if xs.shape[0] else jnp.zeros(xs.shape[1:], xs.dtype)
