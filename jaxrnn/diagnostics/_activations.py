"""The sigmoids and tanhs that a function computes, found in the program that it is traced to."""

import collections
from collections.abc import Callable
from typing import Any

import jax

FOUND = {"logistic": "sigmoid", "tanh": "tanh"}


def activations(function: Callable, *arguments: Any) -> list[tuple[str, jax.Array]]:
    """The names and values of all sigmoids and tanhs in ``function(*arguments)``, in order.

    What reads piece k of an array that was split is named for it: ``sigmoid[1]`` is a sigmoid of
    the second of the gates, in their order in the kernel.
    """
    program = jax.make_jaxpr(function)(*arguments)
    leaves = jax.tree.leaves(arguments)
    found = []
    _run(program.jaxpr, program.consts, leaves, [None] * len(leaves), found)
    counts, named = collections.Counter(), []
    for name, value in found:
        counts[name] += 1
        named.append((name if counts[name] == 1 else f"{name}#{counts[name]}", value))
    return named


def _run(jaxpr, consts, arguments, pieces, found):
    """Evaluates a program; returns its outputs, and the piece that each is made of, or None."""
    values = dict(zip(jaxpr.constvars, consts, strict=True))
    values |= dict(zip(jaxpr.invars, arguments, strict=True))
    piece_of = dict(zip(jaxpr.invars, pieces, strict=True))

    def value(var):
        return var.val if hasattr(var, "val") else values[var]

    def piece(var):
        return None if hasattr(var, "val") else piece_of.get(var)

    for equation in jaxpr.eqns:
        inputs, marks = list(map(value, equation.invars)), list(map(piece, equation.invars))
        inner = _inner(equation)
        if inner is not None:
            outputs, marks = _run(inner.jaxpr, inner.consts, inputs, marks, found)
        else:
            outputs = _bind(equation, inputs)
            marks = _marks(equation, marks)
        name = FOUND.get(equation.primitive.name)
        if name is not None:
            read = piece(equation.invars[0])
            found.append((name if read is None else f"{name}[{read}]", outputs[0]))
            marks = [None]
        values.update(zip(equation.outvars, outputs, strict=True))
        piece_of.update(zip(equation.outvars, marks, strict=True))
    return list(map(value, jaxpr.outvars)), list(map(piece, jaxpr.outvars))


def _inner(equation):
    """The program of a call such as `jax.jit`, with the inputs and outputs of the call."""
    if equation.primitive.name in ("while", "scan", "cond", "jaxrnn_choice"):
        return None
    inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    if not hasattr(inner, "consts") or len(inner.jaxpr.invars) != len(equation.invars):
        return None
    return inner if len(inner.jaxpr.outvars) == len(equation.outvars) else None


def _bind(equation, inputs):
    outputs = equation.primitive.bind(*inputs, **equation.params)
    return outputs if equation.primitive.multiple_results else [outputs]


def _marks(equation, marks):
    """A piece of a split keeps its number until it is combined with another piece."""
    if equation.primitive.name == "split":
        return list(range(len(equation.outvars)))
    known = {mark for mark in marks if mark is not None}
    return [known.pop() if len(known) == 1 else None] * len(equation.outvars)
