"""Whether the kernel of a TPU projects the inputs of its loop itself."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr

from jaxrnn.engines.pallas._ahead import is_plain, of_block
from jaxrnn.engines.pallas._budget import SUBLANES, block_for, needs_of, problem_with
from jaxrnn.engines.pallas._cost import cost_of
from jaxrnn.engines.pallas._kernel import Kernel, kernel_of
from jaxrnn.engines.pallas._plan import Plan
from jaxrnn.engines.pallas._programs import varying


def projects_inside(program: ClosedJaxpr, plan: Plan, operands: Any, *, interpret: bool) -> bool:
    """Whether the kernel makes the projections, rather than a product before it.

    It does where that moves fewer bytes, where its compiler takes the operations, and where the
    parameters of the projection leave room for blocks that are as long as without them.

    Args:
      program: the step or the map.
      plan: of its operands.
      operands: constants, carry and sequences.
      interpret: whether the kernel is interpreted, which takes any number of rows and bytes.
    """
    if plan.linear is not None:
        return False
    found = []

    def look(*operands):
        before, inside = (
            kernel_of(program, plan, list(operands), projects=flag) for flag in (False, True)
        )
        found.append(_pays(before, inside) and (interpret or _fits(before, inside)))
        return ()

    jax.eval_shape(look, *operands)
    return found[0]


def _pays(before: Kernel, inside: Kernel) -> bool:
    """Whether fewer bytes are moved than by a kernel and what a product before it adds.

    That product reads parameters and writes projections. Inputs count for the kernel alone: where
    they are wider than what is saved, it is little, and longer blocks need the VMEM.
    """
    ahead = inside.ahead
    if ahead is None or not is_plain(*_block(inside)):
        return False
    fixed = itertools.compress(inside.consts, ahead.reads)
    projections = sum(map(_bytes, ahead.project.out_avals))
    added = sum(map(_bytes, fixed)) + projections * before.plan.length * math.prod(before.plan.grid)
    return cost_of(inside).bytes_accessed < cost_of(before).bytes_accessed + added


def _bytes(x):
    return math.prod(x.shape) * x.dtype.itemsize


def _block(kernel):
    """The projections of a block, and how many constants they read."""
    ahead = kernel.ahead
    num_consts = sum(ahead.reads[: len(kernel.consts)])
    return of_block(ahead.project, num_consts, 2), num_consts


def _fits(before, inside):
    needs = needs_of(before), needs_of(inside)
    if any(map(problem_with, needs)):
        return False
    length = before.plan.length
    blocks = [block_for(need, length)[0] for need in needs]
    return blocks[1] >= blocks[0] and _has_whole_tiles(inside)


def _has_whole_tiles(kernel):
    """Whether the rows of a step are whole tiles, so that those of a block are one matrix."""
    program, num_consts = _block(kernel)
    arrays = [var.aval for var in varying(program.jaxpr, program.jaxpr.invars[num_consts:])]
    tiles = [SUBLANES * max(1, 4 // jnp.dtype(x.dtype).itemsize) for x in arrays]
    return all(x.shape[1] % tile == 0 for x, tile in zip(arrays, tiles, strict=True))
