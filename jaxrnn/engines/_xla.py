"""``implementation="xla"``: as few products in the loops as the cell allows.

Inputs are projected before the loop, outputs are made after it, and each weight gradient is one
product after the backward loop, by the derivative rule.
"""

import functools
from typing import Any

import jax

from jaxrnn._core.checks import example
from jaxrnn._core.derivative import States, states
from jaxrnn._core.loop import Loop
from jaxrnn._core.types import Carry, Cell
from jaxrnn.engines._scan import with_flags
from jaxrnn.engines._schedule import projected, schedule
from jaxrnn.engines._structure import projects_linearly, reads_projections, takes_sum
from jaxrnn.engines._table import Call, Engine, nothing_against, why_not_by_rule

# From this many elements of u in a step, blocks are faster on a CPU. There a product of one step
# keeps all cores busy, so that one over all steps gains nothing, and its result, which is made in
# fresh memory at each call, costs. Forward on 2 cores of an AMD EPYC, against the form for smaller
# cells: LSTM 64 x 512 1.2 times as fast, 32 x 256 1.2, 32 x 128 0.9.
BLOCKS_FROM = 2**15


def _run(cell: Cell, loop: Loop, call: Call) -> tuple[Carry, Any]:
    cell, params, xs = with_flags(cell, call)
    keeps_sum = takes_sum(cell, params, call.carry, example(xs))
    if _suits_blocks(cell, loop, params, call.carry, example(xs)):
        last, after = _in_blocks(cell, loop, keeps_sum, params, call.carry, xs)
        us = cell.project(params, xs)  # the output reads none of its floats
    else:
        us = cell.project(params, xs)
        out = _at_once(cell, loop, keeps_sum, params, call.carry, us)
        last, after = out.last, out.after
    return last, cell.output(params, after, us)


def _at_once(cell, loop, keeps_sum, params, carry, us) -> States:
    plan = schedule(in_blocks=False, keeps_sum=keeps_sum)
    return states(projected(cell), loop, plan, params, carry, us)


def _suits_blocks(cell, loop, params, carry, x):
    """Whether u is large, made by a product, and read by `update` alone.

    Not where `jax.export` leaves sizes open. A cheaper `project` is fused into the gates with the
    slice of xs, and they do not vectorize.
    """
    jaxpr, u = jax.make_jaxpr(cell.project, return_shape=True)(params, x)
    size = sum(leaf.size for leaf in jax.tree.leaves(u))
    if any(map(jax.export.is_symbolic_dim, (loop.length, size))):
        return False
    if size < BLOCKS_FROM or "dot_general" not in str(jaxpr):
        return False
    return not reads_projections(cell, params, carry, u)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _in_blocks(cell, loop, keeps_sum, params, carry, xs):
    plan = schedule(in_blocks=True, keeps_sum=keeps_sum)
    out = states(cell, loop, plan, params, carry, xs)
    return out.last, out.after


@_in_blocks.defjvp
def _in_blocks_jvp(cell, loop, keeps_sum, primals, tangents):
    """In blocks too, unless the derivative would need the products of `project` again."""
    params, _, xs = primals
    in_blocks = projects_linearly(cell, params, example(xs))
    plan = schedule(in_blocks=in_blocks, keeps_sum=keeps_sum)

    def run(params, carry, xs):
        out = states(cell, loop, plan, params, carry, xs)
        return out.last, out.after

    return jax.jvp(run, primals, tangents)


XLA = Engine("xla", why_not_by_rule, nothing_against, _run)
