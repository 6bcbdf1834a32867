"""Running a cell: one step, or a whole sequence by one of several implementations."""

import functools
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
from jaxrnn._implementations import Explanation, check_choice, choose, implement, make_step
from jaxrnn._loop import Loop, varying_like
from jaxrnn._masking import blank
from jaxrnn._types import Carry, Cell, Layer, Params


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
    return make_step(cell, params, carry, x)


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
          are one product each after the backward loop. Without a gradient, a CPU projects a few
          steps at a time where they are large. For cells that split.
        - ``"native"``: C++ kernels on a CPU, for `jaxrnn.lstm`, `jaxrnn.gru` and `jaxrnn.elman`
          with tanh or relu, in float32 or float64.
        - None: ``"native"`` where it can run, there is one device, and it is the fastest at
          these sizes; else ``"xla"`` for a cell that splits, and ``"scan"`` for one from
          `from_step` or whose functions close over a traced array. `jaxrnn.explain` says which, and
          why.

    Returns:
      The carry after the last step, and the outputs ys, (T, ..., H).

    Raises:
      ValueError, TypeError: an argument does not fit the others, or `implementation` is unknown or
        cannot run `cell`.
    """
    check_cell(cell)
    check_choice(cell, implementation)
    length = check_sequence(xs)
    xs = _arrays("xs", xs)
    check_flags("mask", mask, xs)
    check_flags("resets", resets, xs)
    initial = jax.eval_shape(cell.init_carry, params, example(xs))
    if carry is not None:
        carry = _arrays("carry", carry)
        _check_initial(carry, initial)
    y, (name, _) = _plan(cell, params, initial, xs, implementation)
    check_flags_fit("mask", mask, (initial, y))
    check_flags_fit("resets", resets, initial)
    return _run(cell, name, Loop(length, bool(reverse)), params, carry, xs, mask, resets)


def explain(cell: Cell, xs: Any, *, implementation: str | None = None) -> Explanation:
    """Says what `jaxrnn.unroll` would run, and why.

    Args:
      cell: what would be run.
      xs: inputs (T, ..., I), or only their shapes.
      implementation: as in `jaxrnn.unroll`.

    Returns:
      `Explanation`: the name of the implementation and the reason. Where native kernels could run
      the cell but are not built, it says how to get them.

    Raises:
      ValueError, TypeError: an argument does not fit the others, or `implementation` is unknown or
        cannot run `cell`.
    """
    check_cell(cell)
    params = jax.eval_shape(cell.init, jax.random.key(0), example(xs))
    initial = jax.eval_shape(cell.init_carry, params, example(xs))
    return _plan(cell, params, initial, xs, implementation)[1]


def _plan(cell, params, initial, xs, implementation):
    """The output of a step of xs, in shape, and what is to run."""
    x, length = example(xs), check_sequence(xs)
    trace = jax.make_jaxpr(functools.partial(make_step, cell), return_shape=True)
    jaxpr, (new, y) = trace(params, initial, x)
    _check_new(new, initial)
    closes_over_traced = any(isinstance(const, jax.core.Tracer) for const in jaxpr.consts)
    return y, choose(cell, implementation, params, initial, x, length, closes_over_traced)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _run(cell, name, loop, params, carry, xs, mask, resets):
    """Compiled as one, so that eager calls compile once."""
    xs = blank(mask, xs)
    initial = _arrays("carry", cell.init_carry(params, jax.tree.map(_first, xs)))
    carry = varying_like(xs, initial if carry is None else carry)
    return implement(name, cell, loop, params, carry, initial, xs, mask, resets)


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
