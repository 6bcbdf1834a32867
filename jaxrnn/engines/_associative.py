"""``implementation="associative"``: a linear cell in parallel over time.

    h_t = a_t h_{t-1} + b_t

Two steps in a row are one step of the same kind, so log2(T) rounds of pairs make all h_t, or, on a
CPU, one pass of a native kernel where there is one. A reset makes a_t zero and puts the initial
carry into b_t; a masked step has a_t = 1 and b_t = 0. Cells whose state is a matrix run chunk by
chunk.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn._core.checks import example
from jaxrnn._core.loop import Loop
from jaxrnn._core.types import Carry, Cell, nothing
from jaxrnn.cells._affine import affine_update
from jaxrnn.engines._table import Call, Engine, Traits
from jaxrnn.engines.linear._affine_cell import run_affine
from jaxrnn.engines.linear._linear_scan import states, why_not_native
from jaxrnn.engines.linear._matrix import FORMS, run_matrix

# On 2 cores of an Intel Xeon, `lru`, `min_gru`, `min_lstm` and `rg_lru` ran 128 to 4,096 steps of
# 64 to 2,048 numbers forward in 0.4 to 1 of the time of "xla", with gradients in 0.3 to 1. From
# 16,384 numbers on they gained nothing with gradients, and lost up to a third forward.
FEWEST_STEPS, MOST_NUMBERS = 8, 2**13

# Coefficients and states of more numbers than these, 256 MiB in float32, are made chunk by chunk.
LARGE = 2**26


def _why_not(cell: Cell, call: Call | None, traits: Traits) -> str | None:
    has_matrix = any(cell.update is update for update in FORMS)
    if cell.recur is not nothing or not (has_matrix or cell.update is affine_update):
        return (
            "the cell is not linear: a linear cell has `authoring.affine_update` for its `update` "
            "and `authoring.nothing` for its `recur`"
        )
    if has_matrix and getattr(cell.output, "read", None) is not FORMS[cell.update].read:
        return "the output of the cell reads more of its state than one row for each query"
    return None


def _why_not_chosen(cell: Cell, call: Call | None, traits: Traits) -> str | None:
    if call is None:
        return None
    length = jax.tree.leaves(call.xs)[0].shape[0]
    size = sum(leaf.size for leaf in jax.tree.leaves(call.carry))
    if any(map(jax.export.is_symbolic_dim, (length, size))):
        return "`jax.export` leaves sizes open"
    platform = jax.default_backend()
    if platform != "cpu":
        return f"it has not been measured on {platform}"
    if length < FEWEST_STEPS:
        return f"it pays from {FEWEST_STEPS} steps on"
    if cell.update is not affine_update:
        fit = length * size <= LARGE
        return "the states of all steps fit in memory, and a loop is as fast" if fit else None
    if size > MOST_NUMBERS:
        return f"a state of {size} numbers keeps a CPU busy step by step"
    return why_not_native()


def _run(cell: Cell, loop: Loop, call: Call) -> tuple[Carry, Any]:
    if cell.update is not affine_update:
        return run_matrix(cell, loop, call)
    u = jax.eval_shape(cell.project, call.params, example(call.xs))
    size = sum(leaf.size for leaf in jax.tree.leaves(u.a))
    if any(map(jax.export.is_symbolic_dim, (loop.length, size))) or loop.length * size <= LARGE:
        return run_affine(cell, loop, call, states)
    return _run_in_chunks(cell, loop, call, max(1, LARGE // size))


def _run_in_chunks(cell, loop, call, length):
    """Makes the coefficients and states of `length` steps at a time, and again for a gradient."""
    count, rest = divmod(loop.length, length)
    arrays = call.xs, call.mask, call.resets

    @jax.checkpoint
    def run(carry, part):
        xs, mask, resets = part
        given = call._replace(carry=carry, xs=xs, mask=mask, resets=resets)
        return run_affine(cell, loop, given, states)

    def run_chunks(carry):
        chunks = jax.tree.map(
            lambda x: x[: count * length].reshape(count, length, *x.shape[1:]), arrays
        )
        carry, ys = lax.scan(run, carry, chunks, reverse=loop.reverse)
        return carry, jax.tree.map(lambda y: y.reshape(count * length, *y.shape[2:]), ys)

    def run_rest(carry):
        return run(carry, jax.tree.map(lambda x: x[count * length :], arrays))

    parts = [run_chunks, run_rest] if rest else [run_chunks]
    carry, found = call.carry, []
    for part in parts[::-1] if loop.reverse else parts:
        carry, ys = part(carry)
        found.append(ys)
    found = found[::-1] if loop.reverse else found
    return carry, jax.tree.map(lambda *ys: jnp.concatenate(ys), *found)


ASSOCIATIVE = Engine("associative", _why_not, _why_not_chosen, _run)
