"""Cells whose state is a matrix, in parallel over time: masks, resets and scales of the chunks."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn._core.loop import Loop
from jaxrnn._core.masking import over_batch, select, zero_where_masked
from jaxrnn._core.types import Carry, Cell
from jaxrnn.cells._matrix_state import (
    LogGates,
    MatrixCarry,
    StabilizedCarry,
    decaying_update,
    delta_update,
    normalized,
    recall,
    recall_normalized,
    stabilized_update,
)
from jaxrnn.engines._table import Call
from jaxrnn.engines.linear._matrix_chunks import (
    DECAY_CHUNK,
    DELTA_CHUNK,
    SCALAR_CHUNK,
    Steps,
    by_delta,
    decaying,
    delta_inverse,
    over_chunks,
)


class Form(NamedTuple):
    """What goes with a state equation.

    Attributes:
      read: the part of the output that is made chunk by chunk.
      run: ``(carry, initial, steps) -> (last, reads)``.
    """

    read: Callable
    run: Callable


def run_matrix(cell: Cell, loop: Loop, call: Call) -> tuple[Carry, Any]:
    """The last carry and the outputs of a cell whose `update` is in `FORMS`.

    Args:
      cell: to run.
      loop: at least one step.
      call: its arrays.
    """
    us = cell.project(call.params, call.xs)
    steps = _folded(us, call)
    if loop.reverse:
        steps = _flip(steps)
    carry, initial = jax.tree.map(
        lambda leaf: leaf.astype(us.key.dtype), (call.carry, call.initial)
    )
    last, reads = FORMS[cell.update].run(carry, initial, steps)
    if loop.reverse:
        reads = _flip(reads)
    ys = cell.output.finish(call.params, reads, us.extra)
    last = jax.tree.map(lambda leaf, like: leaf.astype(like.dtype), last, call.carry)
    return last, zero_where_masked(call.mask, ys)


def _flip(tree):
    return jax.tree.map(lambda x: jnp.flip(x, 0), tree)


def _folded(us, call):
    """The steps, with a mask folded in: a step that is no step writes nothing, and keeps all."""
    shape = us.key.shape[:-1]
    resets = over_batch(call.resets, shape, False)
    key, gate = us.key, us.gate
    if call.mask is not None:
        resets &= over_batch(call.mask, shape, True)
        key, gate = zero_where_masked(call.mask, (key, gate))
        if isinstance(gate, LogGates):
            none = jnp.full_like(gate.log_input, -jnp.inf)
            gate = gate._replace(log_input=select(call.mask, gate.log_input, none))
    return Steps(us.query, key, us.value, gate, resets)


def _run_decaying(carry, initial, steps):
    length = SCALAR_CHUNK if steps.gate.shape[-1] == 1 else DECAY_CHUNK
    state, reads = over_chunks(decaying, length, carry.state, initial.state, steps)
    return MatrixCarry(state), reads


def _run_delta(carry, initial, steps):
    given = carry.state, initial.state, steps
    state, reads = over_chunks(by_delta, DELTA_CHUNK, *given, before=delta_inverse)
    return MatrixCarry(state), reads


def _run_stabilized(carry, initial, steps):
    """The scales first, in rounds; given these, the states are those of `decaying_update`.

    The normalizer is one more column of the state, whose values are 1.
    """
    scales = _scales(carry, initial, steps)
    (log_input, log_forget), resets = steps.gate, steps.resets
    before = jnp.concatenate([carry.log_scale[None], scales[:-1]])
    before = jnp.where(resets, initial.log_scale, before)
    key = jnp.exp(log_input - scales)[..., None] * steps.key
    value = jnp.concatenate([steps.value, jnp.ones_like(steps.value[..., :1])], axis=-1)
    gate = (log_forget + before - scales)[..., None]
    states = (jnp.concatenate([c.state, c.normalizer[..., None]], -1) for c in (carry, initial))
    steps = steps._replace(key=key, value=value, gate=gate)
    state, reads = over_chunks(decaying, SCALAR_CHUNK, *states, steps)
    last = StabilizedCarry(state[..., :-1], state[..., -1], scales[-1])
    return last, normalized(reads[..., :-1], reads[..., -1], scales)


def _scales(carry, initial, steps):
    """m' = max(f + m, i): two steps in a row are one step of the same kind."""
    (log_input, log_forget), resets = steps.gate, steps.resets

    def after(first, second):
        (f1, i1), (f2, i2) = first, second
        return f1 + f2, jnp.maximum(f2 + i1, i2)

    restored = jnp.maximum(log_forget + initial.log_scale, log_input)
    log_input = jnp.where(resets, restored, log_input)
    log_forget = jnp.where(resets, -jnp.inf, log_forget)
    log_forget, log_input = lax.associative_scan(after, (log_forget, log_input))
    return jnp.maximum(log_forget + carry.log_scale, log_input)


FORMS = {
    decaying_update: Form(recall, _run_decaying),
    delta_update: Form(recall, _run_delta),
    stabilized_update: Form(recall_normalized, _run_stabilized),
}
