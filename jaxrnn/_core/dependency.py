"""What a function depends on, found in the program that it is traced to."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from jaxrnn._core.numerics import is_floating

# Only floating leaves have tangents. A step counter, a mask or a random key in the carry or among
# the inputs has none: it stays what it is, and JAX writes its tangent as float0.


def floating(tree: Any) -> list[jax.Array]:
    """The leaves of `tree` that have a tangent, in order."""
    return [leaf for leaf in jax.tree.leaves(tree) if is_floating(leaf)]


def with_floating(tree: Any, leaves: list[jax.Array]) -> Any:
    """`tree` with those leaves replaced."""
    leaves = iter(leaves)
    return jax.tree.map(lambda leaf: next(leaves) if is_floating(leaf) else leaf, tree)


def dependent(function: Callable, fixed: Any, varying: Any) -> list[bool]:
    """For each leaf that ``function(fixed, varying)`` returns, whether it depends on `varying`.

    Of both arguments, only shapes and dtypes are read. Where the program does not tell, a leaf
    counts as dependent.
    """
    count = len(jax.tree.leaves(fixed))
    jaxpr = jax.make_jaxpr(function)(fixed, varying).jaxpr
    varies = [i >= count for i in range(len(jaxpr.invars))]
    return _varying_outputs(jaxpr, varies)


def reads(function: Callable, fixed: Any, varying: Any) -> bool:
    """Whether anything that ``function(fixed, varying)`` returns depends on `varying`."""
    return any(dependent(function, fixed, varying))


def nonlinear_term(function: Callable, fixed: Any, varying: Any) -> str | None:
    """The first operation that keeps ``function(fixed, varying)`` from being linear in `varying`.

    None if there is none: then its derivative does not depend on where it is taken. Adding a
    constant is allowed.
    """
    if not _derivative_varies(function, fixed, varying):
        return None
    count = len(jax.tree.leaves(fixed))
    jaxpr = jax.make_jaxpr(function)(fixed, varying).jaxpr
    varies = [i >= count for i in range(len(jaxpr.invars))]
    return next(_nonlinear(jaxpr, varies), "an operation")


def _derivative_varies(function, fixed, varying):
    def tangent(given, at):
        fixed, direction = given

        def along(leaves):
            return floating(function(fixed, with_floating(at, leaves)))

        return jax.jvp(along, (floating(at),), (direction,))[1]

    return reads(tangent, (fixed, floating(varying)), varying)


def _varying_outputs(jaxpr, varies: Sequence[bool]) -> list[bool]:
    """For each output of a program, whether it depends on the inputs that are marked."""
    marked = {var for var, flag in zip(jaxpr.invars, varies, strict=True) if flag}
    for equation, flags in _marked_equations(jaxpr, marked):
        inner = _inner_program(equation)
        out = _varying_outputs(inner, flags) if inner else [True] * len(equation.outvars)
        marked.update(var for var, flag in zip(equation.outvars, out, strict=True) if flag)
    return [_is_marked(var, marked) for var in jaxpr.outvars]


def _nonlinear(jaxpr, varies: Sequence[bool]) -> Iterator[str]:
    """The operations of a program whose derivative depends on a marked input."""
    marked = {var for var, flag in zip(jaxpr.invars, varies, strict=True) if flag}
    for equation, flags in _marked_equations(jaxpr, marked):
        marked.update(equation.outvars)
        inner = _inner_program(equation)
        if inner:
            yield from _nonlinear(inner, flags)
        elif _is_nonlinear(equation, flags):
            shapes = ", ".join(var.aval.str_short() for var in equation.invars)
            yield f"`{equation.primitive.name}` of {shapes}"


def _is_nonlinear(equation, flags):
    avals = [jax.ShapeDtypeStruct(var.aval.shape, var.aval.dtype) for var in equation.invars]

    def run(fixed, varying):
        fixed, varying = iter(fixed), iter(varying)
        args = [next(varying) if flag else next(fixed) for flag in flags]
        return equation.primitive.bind(*args, **equation.params)

    fixed = [aval for aval, flag in zip(avals, flags, strict=True) if not flag]
    varying = [aval for aval, flag in zip(avals, flags, strict=True) if flag]
    try:
        return _derivative_varies(run, fixed, varying)
    except NotImplementedError:  # an operation without a derivative
        return True


def _marked_equations(jaxpr, marked):
    """The equations that read a marked variable, each with a flag for each of its inputs."""
    for equation in jaxpr.eqns:
        flags = [_is_marked(var, marked) for var in equation.invars]
        if any(flags):
            yield equation, flags


def _is_marked(var, marked):
    return not hasattr(var, "val") and var in marked  # a constant has a value, and no hash


def _inner_program(equation):
    """The program of a call such as `jax.jit`, with the inputs and outputs of the call."""
    if equation.primitive.name in ("while", "scan", "cond", "jaxrnn_choice"):
        return None
    found = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    inner = getattr(found, "jaxpr", found)
    if inner is None or len(inner.invars) != len(equation.invars):
        return None
    return inner if len(inner.outvars) == len(equation.outvars) else None
