"""What a step computes from its input alone: projections, which can be made ahead of it."""

from typing import Any

import jax
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import ClosedJaxpr

from jaxrnn.engines.pallas._columns import ELEMENTWISE
from jaxrnn.engines.pallas._programs import (
    environment,
    leading_to,
    read,
    run_equations,
    simplified,
    varying,
)

MARK = "jaxrnn_projected"
NAME = "name"  # the operation that holds the mark, which is the identity
MOVES = {"broadcast_in_dim", "concatenate", "slice", "split"}


def marked(us: Any) -> Any:
    """The projections of a step, which its program then tells apart."""
    return jax.tree.map(lambda u: checkpoint_name(u, MARK), us)


def unmarked(program: ClosedJaxpr) -> ClosedJaxpr:
    """`program` without the marks."""
    return simplified(program, (NAME,))


def divided(
    program: ClosedJaxpr, num_consts: int, num_carry: int
) -> tuple[ClosedJaxpr, ClosedJaxpr] | None:
    """A step in two parts: the projections, and the rest.

    Args:
      program: the step, ``(*consts, *carry, *xs) -> results``, without calls.
      num_consts: how many constants it has.
      num_carry: how many leaves the carry has.

    Returns:
      ``(*consts, *xs) -> us`` and ``(*consts, *carry, *xs, *us) -> results``; None if nothing is
      projected, or what is marked is an input as it came.
    """
    jaxpr, stop = program.jaxpr, num_consts + num_carry
    consts, xs = jaxpr.invars[:num_consts], jaxpr.invars[stop:]
    made = varying(jaxpr, xs) - set(xs)
    marks = [e.invars[0] for e in jaxpr.eqns if e.params.get(NAME) == MARK]
    us = list(dict.fromkeys(var for var in marks if hasattr(var, "aval") and _is_in(var, made)))
    if not us:
        return None

    def run(outputs, names, values):
        env = environment(jaxpr.constvars, program.consts, names, values)
        run_equations(leading_to(jaxpr, outputs, set(env)), env)
        return [read(env, var) for var in outputs]

    def project(*operands):
        return run(us, [*consts, *xs], operands)

    def rest(*operands):
        return run(jaxpr.outvars, [*jaxpr.invars, *us], operands)

    first = jax.make_jaxpr(project)(*(var.aval for var in [*consts, *xs]))
    second = jax.make_jaxpr(rest)(*(var.aval for var in [*jaxpr.invars, *us]))
    return unmarked(first), unmarked(second)


def _is_in(var, variables):
    return not hasattr(var, "val") and var in variables  # a constant has a value, and no hash


def of_block(project: ClosedJaxpr, num_consts: int, size: int) -> ClosedJaxpr:
    """The projections of a block of steps, ``(*consts, *xs) -> us``, of sequences of so many."""
    shapes = [var.aval for var in project.jaxpr.invars]
    over_time = [i >= num_consts for i in range(len(shapes))]
    run = jax.vmap(
        lambda *args: jax.core.eval_jaxpr(project.jaxpr, project.consts, *args),
        [0 if flag else None for flag in over_time],
    )
    blocks = [
        jax.ShapeDtypeStruct((size, *x.shape) if flag else x.shape, x.dtype)
        for x, flag in zip(shapes, over_time, strict=True)
    ]
    return jax.make_jaxpr(run)(*blocks)


def is_plain(block: ClosedJaxpr, num_consts: int) -> bool:
    """Whether a kernel of a TPU can run it: products of rows, and what goes element by element."""
    jaxpr = block.jaxpr
    over_time = varying(jaxpr, jaxpr.invars[num_consts:])
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name == "dot_general" and not _is_of_rows(equation, over_time):
            return False
        if name not in (ELEMENTWISE | MOVES | {"dot_general"}):
            return False
    # A vector for each step would have to be turned from lanes into rows.
    read = {var for equation in jaxpr.eqns for var in equation.invars if _is_in(var, over_time)}
    arrays = [*read, *jaxpr.outvars]
    return all(_is_in(var, over_time) and var.aval.ndim == 3 for var in arrays)


def _is_of_rows(equation, over_time):
    (ours, theirs), batch = equation.params["dimension_numbers"]
    left, right = equation.invars
    return (
        _is_in(left, over_time)
        and not _is_in(right, over_time)
        and (left.aval.ndim, right.aval.ndim) == (3, 2)
        and (tuple(ours), len(theirs), batch) == ((2,), 1, ((), ()))
    )


def run_block(block: ClosedJaxpr, *operands: jax.Array) -> list[jax.Array]:
    """The projections of a block, each by one product of all its rows."""
    jaxpr = block.jaxpr
    env = environment(jaxpr.constvars, block.consts, jaxpr.invars, operands)
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            left, right = (read(env, var) for var in equation.invars)
            env[equation.outvars[0]] = _product(left, right, equation.params)
        else:
            run_equations([equation], env)
    return [read(env, var) for var in jaxpr.outvars]


def _product(left, right, params):
    steps, rows, size = left.shape
    (_, theirs), batch = params["dimension_numbers"]
    params = {**params, "dimension_numbers": (((1,), theirs), batch)}
    out = lax.dot_general_p.bind(left.reshape(steps * rows, size), right, **params)
    return out.reshape(steps, rows, -1)
