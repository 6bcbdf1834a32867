"""The fewest bytes that tell a program what it computes: a minimum cut of its graph."""

from collections.abc import Callable

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal

from jaxrnn.engines._flow import SINK, SOURCE, UNBOUNDED, side_of_sink
from jaxrnn.engines.pallas._columns import ELEMENTWISE
from jaxrnn.engines.pallas._programs import (
    CUSTOM,
    VARYING,
    environment,
    leading_to,
    read,
    run_equations,
    varying,
)

MOVES = {"broadcast_in_dim", "concatenate", "iota", "pad", "reshape", "slice", "split", "squeeze"}
CHEAP = {
    *ELEMENTWISE,
    *CUSTOM,
    *MOVES,
    *VARYING,
}  # a kernel computes them again: no products, no sums


def cut(program: ClosedJaxpr, count: int) -> tuple[Callable, Callable]:
    """A program in two parts, with as few bytes as possible handed from the first to the second.

    Of two such cuts the later one is taken, which leaves less to compute to the second part. The
    second part multiplies no matrices and adds up no rows.

    Args:
      program: to divide.
      count: how many of its operands, the first ones, both parts have.

    Returns:
      ``first(fixed, others) -> handed`` and ``second(fixed, handed) -> results``, of lists.
    """
    jaxpr = program.jaxpr
    varies = varying(jaxpr, jaxpr.invars[count:])
    results = [var for var in jaxpr.outvars if _is_in(var, varies)]
    handed = _least(jaxpr, varies, results)

    def run(values, outputs):
        env = environment(jaxpr.constvars, program.consts, *values)
        run_equations(leading_to(jaxpr, outputs, set(env)), env)
        return [read(env, var) for var in outputs]

    def first(fixed, others):
        return run((jaxpr.invars, [*fixed, *others]), handed)

    def second(fixed, values):
        return run((jaxpr.invars[:count], fixed, handed, values), jaxpr.outvars)

    return first, second


def _is_in(var, variables):
    return not isinstance(var, Literal) and var in variables


def _least(jaxpr, varies, results):
    """The variables to hand on: each is a pair of nodes, with an edge of so many bytes."""
    order = [var for var in jaxpr.invars if var in varies]
    edges = [(SOURCE, (var, 0), UNBOUNDED) for var in order]
    for equation in jaxpr.eqns:
        made = [var for var in equation.outvars if var in varies]
        order += made
        is_cheap = equation.primitive.name in CHEAP and not equation.effects
        for var in made:
            if not is_cheap:
                edges.append((SOURCE, (var, 0), UNBOUNDED))
            edges += [((x, 1), (var, 0), UNBOUNDED) for x in equation.invars if _is_in(x, varies)]
    edges += [((var, 0), (var, 1), _bytes(var.aval)) for var in order]
    edges += [((var, 1), SINK, UNBOUNDED) for var in results]
    late = side_of_sink(edges)
    return [var for var in order if (var, 1) in late and (var, 0) not in late]


def _bytes(aval):
    """Of an array in a kernel, where a bool is an integer."""
    dtype = jnp.dtype(jnp.int32) if aval.dtype == jnp.bool else aval.dtype
    return max(1, aval.size * dtype.itemsize)
