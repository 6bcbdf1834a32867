"""A JAX program written out: its equations one after the other, the calls in it resolved."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax

from jaxrnn._core.loop import varying_like
from jaxrnn.engines.program._views import NotCovered

# Calls that compute what their program says. Those with a derivative of their own stay whole until
# the derivative has been taken.
_CALLS = frozenset(("pjit", "jit", "closed_call", "core_call", "remat", "checkpoint"))
_WITH_DERIVATIVE = frozenset(("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"))


class Ref(NamedTuple):
    """A value of a tape."""

    number: int


class Entry(NamedTuple):
    equation: Any
    inputs: tuple  # a `Ref`, or a constant of the program
    outputs: tuple[Ref, ...]


class Tape(NamedTuple):
    """A program: values 0 to ``len(inputs) - 1`` are its inputs."""

    inputs: tuple[jax.core.AbstractValue, ...]
    types: tuple[jax.core.AbstractValue, ...]  # of every value
    entries: tuple[Entry, ...]
    outputs: tuple  # a `Ref`, or a constant


def record(function: Callable, *args: Any, whole: bool = False) -> tuple[Tape, Any]:
    """The tape of ``function(*args)``, and the structure of what it returns.

    Args:
      function: of pytrees of arrays.
      args: shapes.
      whole: whether calls with a derivative of their own stay.

    Raises:
      NotCovered: the function does not run for these shapes, which are of one row; or it closes
        over a traced array, as the derivative of a cell can.
    """
    try:
        closed, out = jax.make_jaxpr(function, return_shape=True)(*args)
    except (TypeError, ValueError) as error:  # it has run for all rows, when it was checked
        reason = "one of its functions does not run for one row, without batch axes"
        raise NotCovered(reason) from error
    types = [var.aval for var in closed.jaxpr.invars]
    entries = []
    names = _CALLS if whole else _CALLS | _WITH_DERIVATIVE

    def walk(jaxpr, constants, inputs):
        if any(isinstance(constant, jax.core.Tracer) for constant in constants):
            raise NotCovered("one of its functions, or a derivative, closes over a traced array")
        env = dict(zip(jaxpr.constvars, constants, strict=True))
        env.update(zip(jaxpr.invars, inputs, strict=True))

        def read(var):
            return var.val if hasattr(var, "val") else env[var]

        for equation in jaxpr.eqns:
            given = tuple(map(read, equation.invars))
            inner = _inner(equation) if equation.primitive.name in names else None
            if inner is not None:
                out = walk(inner.jaxpr, inner.consts, given)
            else:
                first = len(types)
                types.extend(var.aval for var in equation.outvars)
                out = tuple(map(Ref, range(first, len(types))))
                entries.append(Entry(equation, given, out))
            env.update(zip(equation.outvars, out, strict=True))
        return tuple(map(read, jaxpr.outvars))

    inputs = tuple(types)
    outputs = walk(closed.jaxpr, closed.consts, tuple(map(Ref, range(len(types)))))
    return Tape(inputs, tuple(types), tuple(entries), outputs), jax.tree.structure(out)


def _inner(equation):
    from jax.extend.core import ClosedJaxpr  # takes long to import

    found = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    if found is None:
        found = equation.params.get("fun_jaxpr")
    return ClosedJaxpr(found, ()) if hasattr(found, "eqns") else found


def evaluate(
    entries: Iterable[Entry], values: dict[Ref, Any], change: Callable | None = None
) -> None:
    """Runs `entries`, and adds what they compute to `values`.

    Args:
      entries: of a tape.
      values: what is known so far.
      change: ``(entry, outputs) -> outputs``, called after each entry.
    """
    for equation, inputs, outputs in entries:
        args = [values[x] if isinstance(x, Ref) else x for x in inputs]
        args = varying_like(args, args)  # constants too
        params = equation.primitive.get_bind_params(equation.params)
        out = equation.primitive.bind(*args, **params)
        out = list(out) if equation.primitive.multiple_results else [out]
        if change is not None:
            out = change(Entry(equation, inputs, outputs), out)
        values.update(zip(outputs, out, strict=True))


def depending(tape: Tape, start: Iterable[Ref]) -> set[Ref]:
    """The values that depend on those of `start`, and these."""
    found = set(start)
    for entry in tape.entries:
        if not found.isdisjoint(x for x in entry.inputs if isinstance(x, Ref)):
            found.update(entry.outputs)
    return found


def needed(entries: Iterable[Entry], wanted: Iterable[Any]) -> list[Entry]:
    """The entries on which the values in `wanted` depend, in order."""
    wanted, kept = {x for x in wanted if isinstance(x, Ref)}, []
    for entry in reversed(list(entries)):
        if not wanted.isdisjoint(entry.outputs):
            kept.append(entry)
            wanted.update(x for x in entry.inputs if isinstance(x, Ref))
    return kept[::-1]
