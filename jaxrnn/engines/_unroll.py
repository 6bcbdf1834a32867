"""Running a cell over a sequence: check, plan, run."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import (
    MISSING,
    check_array,
    check_bool,
    check_given,
    describe,
    example,
)
from jaxrnn._core.context import Handed, prepared, taken
from jaxrnn._core.events import record
from jaxrnn._core.flags import check_flags
from jaxrnn._core.loop import Loop, varying_like
from jaxrnn._core.masking import zero_where_masked
from jaxrnn._core.memo import remembered
from jaxrnn._core.mesh import undivided_in_time, with_auto_axes
from jaxrnn._core.shardings import like_sequence
from jaxrnn._core.timed import backward_gaps, check_gaps, inputs_of
from jaxrnn._core.types import Carry, Cell, Params, check_cell
from jaxrnn.engines._associative import ASSOCIATIVE
from jaxrnn.engines._contract import check_arguments, check_params_of
from jaxrnn.engines._cudnn import CUDNN
from jaxrnn.engines._native import NATIVE
from jaxrnn.engines._newton import NEWTON, engine_with
from jaxrnn.engines._pallas import PALLAS
from jaxrnn.engines._scan import SCAN
from jaxrnn.engines._table import Call, Engine, Explanation, Traits, choose, refuse
from jaxrnn.engines._xla import XLA
from jaxrnn.engines.newton._options import Newton

# None takes the first with nothing against it.
ENGINES = (NATIVE, ASSOCIATIVE, XLA, SCAN, NEWTON, PALLAS, CUDNN)
NAMES = tuple(engine.name for engine in ENGINES)


class Arguments(NamedTuple):
    """The arrays that `unroll` is given, or their shapes."""

    params: Params
    carry: Carry | None
    xs: Any
    mask: jax.Array | None
    resets: jax.Array | None
    context: Any


class Shapes(NamedTuple):
    """The output of a step, as something that can be hashed."""

    structure: Any
    leaves: tuple[jax.ShapeDtypeStruct, ...]

    @classmethod
    def of(cls, y: Any) -> "Shapes":
        """The shapes of `y`."""
        leaves, structure = jax.tree.flatten(y)
        return cls(structure, tuple(leaves))

    def zeros(self) -> Any:
        """The outputs of no steps, (0, ...)."""
        return self.structure.unflatten(jnp.zeros((0, *y.shape), y.dtype) for y in self.leaves)


class Choices(NamedTuple):
    """What is fixed when a layer is made."""

    reverse: bool = False
    implementation: str | Newton | None = None


def unroll(
    cell: Cell,
    params: Params,
    carry: Carry | None,
    xs: Any = MISSING,
    *,
    mask: jax.Array | None = None,
    resets: jax.Array | None = None,
    context: Any = None,
    reverse: bool = False,
    implementation: str | Newton | None = None,
) -> tuple[Carry, Any]:
    """Runs a cell over a sequence.

    Args:
      cell: what to run at each step.
      params: from ``cell.init``.
      carry: the carry before the first step; None means ``cell.init_carry(params, xs[0])``.
      xs: inputs, time first: (T, ..., I), or a pytree of such arrays. T may be 0. A cell that
        reads time needs `jaxrnn.Timed(xs, dt)`.
      mask: bool (T, ...), True = a real step. Where False the carry is held and the output is
        zero, and nothing in the padding reaches an output, a carry or a gradient; a reset there is
        ignored too.
      resets: bool (T, ...); where True the carry returns to ``cell.init_carry`` before the step.
        No gradient crosses a reset.
      context: what the sequence is conditioned on, for a cell whose `prepare` reads it: a dict or
        NamedTuple of arrays with leading batch axes, such as the memory of `jaxrnn.attention`.
      reverse: whether to run from the last step to the first. Outputs stay where their inputs are.
      implementation: the engine that runs it. All give the same numbers.

        - ``"scan"``: a plain `jax.lax.scan` of `step`, with JAX's own autodiff. The definition.
        - ``"xla"``: the input projection is one product before the loop, outputs are made after
          it, and the weight gradients are one product each after the backward loop. Large cells on
          a CPU project a few steps at a time.
        - ``"native"``: C++ kernels on a CPU. `jaxrnn.lstm`, `jaxrnn.gru` and `jaxrnn.elman` with
          tanh or relu have their own, in float32, float64 or bfloat16. Another cell runs by a
          program that is made of its `recur` and `update`, in float32 or float64;
          `jaxrnn.explain` shows it, or says which operation has none.
        - ``"associative"``: parallel over time, for linear cells.
        - ``"newton"``, or `jaxrnn.Newton` with options: parallel over time, for any cell whose
          carry holds float32 or float64 numbers. `jaxrnn.convergence` reports on it.
        - ``"pallas"``: the loop as one Pallas kernel, traced from the cell's own functions, for a
          TPU and for an NVIDIA GPU. On a CPU it is interpreted, for tests. Nothing has been
          measured, so None never takes it.
        - ``"cudnn"``: the LSTM of cuDNN on an NVIDIA GPU, for `jaxrnn.lstm` in float32, without
          resets. It has gradients; forward mode and second derivatives raise JAX's own errors.
        - None: the first of ``"native"``, ``"associative"``, ``"xla"`` and ``"scan"`` that can run
          the cell and pays at these sizes. `jaxrnn.explain` says which, and why not the others.

    Returns:
      The carry after the last step, and the outputs ys, (T, ..., H).

    Raises:
      ValueError, TypeError: an argument does not fit the others, or `implementation` is unknown or
        cannot run `cell`.

    Examples:
      >>> cell, xs = jaxrnn.lstm(8), jnp.ones((6, 2, 4))  # (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> carry, ys = jaxrnn.unroll(cell, params, None, xs)
      >>> ys.shape, carry.c.shape
      ((6, 2, 8), (2, 8))
      >>> middle, _ = jaxrnn.unroll(cell, params, None, xs[:3])  # in two chunks
      >>> _, rest = jaxrnn.unroll(cell, params, middle, xs[3:])
      >>> bool(jnp.allclose(rest, ys[3:], atol=1e-5))
      True
    """
    check_given(xs, "unroll(cell, params, carry, xs)")
    check_cell(cell)
    check_bool("reverse", reverse)
    choices = Choices(bool(reverse), implementation)
    check_choices(cell, choices)
    if isinstance(context, Handed):  # in a layer, which has looked for meshes
        return _check_and_run(cell, choices, params, carry, xs, mask, resets, context)

    def run(arguments):
        return _check_and_run(cell, choices, *arguments.values())

    values = params, carry, xs, mask, resets, context
    arguments = dict(zip(Arguments._fields, values, strict=True))
    return with_auto_axes(run, arguments, like_sequence)


def _check_and_run(cell, choices, params, carry, xs, mask, resets, context):
    xs = inputs_of(cell, xs)
    check_gaps(xs, mask)
    check_params_of(cell, params, example(xs))
    context = taken(cell, params, context)
    arguments = Arguments(params, carry, *as_arrays(xs=xs), mask, resets, context)
    if carry is not None:
        arguments = arguments._replace(carry=as_arrays(carry=carry)[0])
    explanation, y = plan(cell, choices, arguments)
    implementation = choices.implementation or explanation.implementation
    run = _run if cell.fixed_key is None else _compiled_run
    return run(cell, implementation, choices.reverse, y, arguments)


def check_choices(cell: Cell, choices: Choices) -> None:
    """Raises if there is no engine of this name, or the cell alone tells that it cannot run it."""
    name = choices.implementation
    if isinstance(name, type) and issubclass(name, Newton):
        raise TypeError("`implementation` must be `jaxrnn.Newton()`, not the class itself.")
    if not isinstance(name, Newton) and name not in (None, *NAMES):
        raise ValueError(f"`implementation` must be None or one of {list(NAMES)}, got {name!r}.")
    engine = engine_of(name) if name else None
    problem = engine.why_not(cell, None, Traits()) if engine else None
    if problem:
        refuse(engine.name, problem)


def engine_of(implementation: str | Newton) -> Engine:
    """The engine of this name, or with these options."""
    if isinstance(implementation, Newton):
        return engine_with(implementation)
    return next(engine for engine in ENGINES if engine.name == implementation)


def plan(cell: Cell, choices: Choices, arguments: Arguments) -> tuple[Explanation, Shapes]:
    """What runs `cell`, and why, and the output of a step; raises unless the arguments fit."""
    check_flags("mask", arguments.mask, arguments.xs)
    check_flags("resets", arguments.resets, arguments.xs)
    explanation, y = remembered(_plan, cell, choices, arguments)
    record(explanation)
    return explanation, y


def _plan(cell, choices, arguments):
    params, carry, xs, mask, resets, context = arguments
    x = example(xs)
    ready = jax.eval_shape(functools.partial(prepared, cell), params, context)
    initial = jax.eval_shape(cell.init_carry, params, x)
    y, traits = check_arguments(cell, ready, carry, initial, x, mask, resets)
    call = Call(ready, initial, initial, xs, mask, resets)
    name = engine_of(choices.implementation).name if choices.implementation else None
    explanation = choose(ENGINES, name, cell, call, traits)
    return explanation, Shapes.of(y)


def _run(cell, implementation, reverse, y, arguments):
    engine = engine_of(implementation)
    loop, call = looped(cell, engine, reverse, arguments)
    if isinstance(loop.length, int) and loop.length == 0:
        return call.carry, varying_like(arguments, y.zeros())
    carry, ys = engine.run(cell, loop, call)
    return carry, _divided(engine)(ys)


def looped(cell: Cell, engine: Engine, reverse: bool, arguments: Arguments) -> tuple[Loop, Call]:
    """The loop over time, and what runs in it, from arguments that have been checked."""
    params, carry, xs, mask, resets, context = arguments
    xs, mask, resets = _divided(engine)((xs, mask, resets))
    xs = backward_gaps(xs, mask) if reverse else xs
    x = zero_where_masked(*jax.tree.map(_first, (mask, xs)))
    xs = xs if engine.skips_masked else zero_where_masked(mask, xs)
    xs, mask, resets = varying_like(arguments, (xs, mask, resets))
    (initial,) = as_arrays(carry=cell.init_carry(params, x))
    carry = initial if carry is None else carry
    carry, initial = varying_like(arguments, (carry, initial))
    call = Call(prepared(cell, params, context), carry, initial, xs, mask, resets)
    return Loop(jax.tree.leaves(xs)[0].shape[0], reverse), call


def _divided(engine):
    """What an engine does about sequences whose steps are on several devices."""
    return (lambda tree: tree) if engine is ASSOCIATIVE else undivided_in_time


# One program, so that eager calls compile once: for a cell that cannot change. Another would run
# with what its functions held at the first call, and keep that alive.
_compiled_run = jax.jit(_run, static_argnums=(0, 1, 2, 3))


def as_arrays(**trees: Any) -> list[Any]:
    """The trees, with every leaf an array whose dtype is its own, no Python scalar's weak one."""

    def convert(name, leaf):
        if isinstance(leaf, jax.Array) and not getattr(leaf, "weak_type", False):
            return leaf
        if hasattr(leaf, "dtype"):
            check_array(name, leaf)
        try:
            leaf = jnp.asarray(leaf)
        except (TypeError, ValueError) as error:
            raise TypeError(f"`{name}` must hold arrays only, got {describe(leaf)}.") from error
        is_weak = getattr(leaf, "weak_type", False)  # which a typed key does not have
        return jax.lax.convert_element_type(leaf, leaf.dtype) if is_weak else leaf

    return [jax.tree.map(functools.partial(convert, name), tree) for name, tree in trees.items()]


def _first(xs):
    return xs[0] if xs.shape[0] else jnp.zeros(xs.shape[1:], xs.dtype)
