"""A cell over a sequence by Pallas: one kernel forward, and one for the linear recurrence."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import example
from jaxrnn._core.derivative import Schedule, States, states
from jaxrnn._core.loop import Loop
from jaxrnn._core.noise import batch_axes, without_noise
from jaxrnn._core.numerics import is_floating
from jaxrnn._core.of_field import unwrapped_params
from jaxrnn._core.over_heads import AXIS, one_head
from jaxrnn._core.stacking import one_of
from jaxrnn._core.types import Carry, Cell, nothing, unchanged
from jaxrnn.cells._affine import affine_update
from jaxrnn.engines._scan import with_flags
from jaxrnn.engines._schedule import made_of, projected
from jaxrnn.engines._structure import projects_linearly, reads_projections, takes_sum
from jaxrnn.engines._table import Call
from jaxrnn.engines.linear._affine_cell import run_affine
from jaxrnn.engines.linear._linear_scan import states_by_pallas
from jaxrnn.engines.pallas._ahead import marked
from jaxrnn.engines.pallas._cut import cut
from jaxrnn.engines.pallas._plan import Linear
from jaxrnn.engines.pallas._primitive import loop as kernel_loop
from jaxrnn.engines.pallas._programs import simplified

MOST_ROWS = {"gpu": 16}  # of a tile of the batch, by platform: a GPU has many processors
MOST_ROWS_OF_A_CORE = 256  # elsewhere: what keeps the multipliers of a TPU core busy


def run(cell: Cell, loop: Loop, call: Call) -> tuple[Carry, Any]:
    """The last carry and the outputs of a cell that splits.

    Args:
      cell: to run.
      loop: at least one step.
      call: its arrays.
    """
    if cell.update is affine_update and cell.recur is nothing:
        return run_affine(cell, loop, call, states_by_pallas)
    tile = MOST_ROWS.get(jax.default_backend(), MOST_ROWS_OF_A_CORE)
    if _divides(cell, call, tile):
        return _run_tiles(cell, loop, call, tile)
    return _run_rows(cell, loop, call)


def _divides(cell, call, tile):
    """Whether the rows are to be divided into tiles, and no parameter can be one of rows."""
    if cell.prepare is not unchanged or not isinstance(call.xs, jax.Array):
        return False
    if call.xs.ndim != 2 + cell.num_feature_axes:
        return False
    rows = call.xs.shape[1]
    flags = [x for x in (call.mask, call.resets) if x is not None]
    return rows > tile and rows % tile == 0 and all(flag.ndim == 2 for flag in flags)


def _run_tiles(cell, loop, call, tile):
    """Tiles of rows are independent: they run side by side, or one after the other."""

    def split(tree, axis):
        def reshape(x):
            return x.reshape(*x.shape[:axis], -1, tile, *x.shape[axis + 1 :])

        return jax.tree.map(reshape, tree)

    def run(carry, initial, sequences):
        xs, mask, resets = sequences
        return _run_rows(cell, loop, Call(call.params, carry, initial, xs, mask, resets))

    states = split((call.carry, call.initial), 0)
    sequences = split((call.xs, call.mask, call.resets), 1)
    carry, ys = jax.vmap(run, in_axes=(0, 0, 1), out_axes=(0, 1))(*states, sequences)
    carry = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), carry)
    return carry, jax.tree.map(lambda y: y.reshape(len(y), -1, *y.shape[3:]), ys)


def _run_rows(cell, loop, call):
    has_rows = bool(batch_axes(without_noise(example(call.xs)), cell.num_feature_axes))
    one = one_head(cell)
    if one is not None:
        return _run_heads(cell, one, loop, call, has_rows)
    from_inputs = _may_project(cell, call)
    return _outputs(cell, call, *_carries(cell, loop, call, has_rows, from_inputs))


def _carries(cell, loop, call, has_rows, from_inputs):
    """The carry after the last step, the carries after all steps, and u."""
    cell, params, xs = with_flags(cell, call)
    keeps_sum = takes_sum(cell, params, call.carry, example(xs))
    plan, us = _schedule(has_rows, keeps_sum), cell.project(params, xs)
    if from_inputs:
        last, after = _from_inputs(cell, loop, plan, params, call.carry, xs)
    else:
        out = states(projected(cell), loop, plan, params, call.carry, us)
        last, after = out.last, out.after
    return last, after, us


def _may_project(cell, call):
    """Whether the loop may project: it can hold the inputs, and `output` reads no floats of u."""
    if not all(is_floating(x) for x in jax.tree.leaves(call.xs)):
        return False
    u = jax.eval_shape(cell.project, call.params, example(call.xs))
    return not reads_projections(cell, call.params, call.carry, u)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _from_inputs(cell, loop, plan, params, carry, xs):
    out = states(cell, loop, plan, params, carry, xs)
    return out.last, out.after


@_from_inputs.defjvp
def _from_inputs_jvp(cell, loop, plan, primals, tangents):
    """From projections if their derivative reads what they are made of: it is made once then."""

    def run(params, carry, xs):
        given, sequences = cell, xs
        if not projects_linearly(cell, params, example(xs)):
            given, sequences = projected(cell), cell.project(params, xs)
        out = states(given, loop, plan, params, carry, sequences)
        return out.last, out.after

    return jax.jvp(run, primals, tangents)


def _outputs(cell, call, last, after, us):
    cell, params, _ = with_flags(cell, call)
    return last, cell.output(params, after, us)


def _run_heads(cell, one, loop, call, has_rows):
    """Heads need nothing of each other: they are loops side by side, an axis of the grid."""
    us = cell.project(call.params, call.xs)

    def run(params, carry, initial, us):
        given = Call(params, carry, initial, us, call.mask, call.resets)
        return _carries(projected(one), loop, given, has_rows, from_inputs=False)[:2]

    operands = unwrapped_params(cell, call.params), call.carry, call.initial, us
    axes = 0, AXIS, AXIS, AXIS
    last, after = jax.vmap(run, in_axes=axes, out_axes=AXIS)(*operands)
    cell, call = projected(cell), call._replace(xs=us)
    return _outputs(cell, call, last, after, with_flags(cell, call)[2])


@functools.cache
def _schedule(has_rows: bool, keeps_sum: bool) -> Schedule:
    """One object for equal arguments, as JAX compares it."""
    recurrence = functools.partial(_recurrence, has_rows)
    run = functools.partial(_states, has_rows)
    return made_of(run, keeps_sum=keeps_sum)._replace(recurrence=recurrence, stack=_least)


def _least(leaves_of, params, steps):
    """The `stack` of a `Schedule`: the fewest bytes from which the kernel makes a map."""
    given, structure = jax.tree.flatten(params)
    leaves, form = jax.tree.flatten(steps)

    def flat(given, leaves):
        return leaves_of(structure.unflatten(given), jax.tree.unflatten(form, leaves))

    with jax.disable_jit(False):
        program = jax.make_jaxpr(flat)(given, one_of(leaves))
        program = simplified(program, identities=(), keeps_custom=True)
        first, second = cut(program, len(given))
        run = jax.jit(first, inline=True)
        maps = jax.vmap(run, (None, 0))(given, leaves)
    return functools.partial(second, given), maps


def _states(has_rows, keep, cell, loop, params, carry, xs) -> States:
    leaves, structure = jax.tree.flatten(carry)
    x_leaves, x_structure = jax.tree.flatten(xs)
    kept_structure = None

    def step(leaves, x_leaves):
        nonlocal kept_structure
        carry, x = structure.unflatten(leaves), x_structure.unflatten(x_leaves)
        u = marked(cell.project(params, x))
        v = cell.recur(params, carry)
        new = structure.flatten_up_to(cell.update(params, carry, u, v))
        kept, kept_structure = jax.tree.flatten(keep(u, v))
        return new, [*new, *kept]

    last, ys = kernel_loop(
        step, leaves, x_leaves, length=loop.length, reverse=loop.reverse, has_rows=has_rows
    )
    after, kept = ys[: len(leaves)], kept_structure.unflatten(ys[len(leaves) :])
    before = [_shifted(x, first, loop.reverse) for x, first in zip(after, leaves, strict=True)]
    as_carry = structure.unflatten
    return States(as_carry(last), as_carry(before), as_carry(after), kept)


def _recurrence(has_rows, loop, body, carry, steps):
    """The `recurrence` of a `Schedule`, as one kernel."""
    maps, b = steps
    zeros = [jnp.zeros(x.shape, x.dtype) for x in carry]

    def apply(carry, maps):
        return body(carry, (maps, zeros))[0]

    last, after = kernel_loop(
        apply,
        list(carry),
        [*maps, *b],
        length=loop.length,
        reverse=loop.reverse,
        has_rows=has_rows,
        linear=Linear(),
    )
    before = [_shifted(x, first, loop.reverse) for x, first in zip(after, carry, strict=True)]
    return last, (before, after)


def _shifted(xs, first, reverse):
    """`xs` of the step before; of the first step that runs, `first`."""
    parts = [xs[1:], first[None]] if reverse else [first[None], xs[:-1]]
    return jnp.concatenate(parts)
