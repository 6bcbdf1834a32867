"""One step of one sequence, and the derivative of its output with respect to the parameters."""

import functools
from typing import Any

import jax

from jaxrnn._core.context import prepared
from jaxrnn._core.masking import select, zero_where_masked
from jaxrnn._core.types import Carry, Cell, Params
from jaxrnn.online._types import OnlineState, Rule
from jaxrnn.online._vectors import from_leaves, from_vector, to_leaves, to_vector, wide_dtype


def begin_row(
    cell: Cell, rule: Rule, units: Any, params: Params, carry: Carry | None, key: Any, x: Any
) -> OnlineState:
    """The state before the first step; a carry of None is the initial one."""
    params = jax.lax.stop_gradient(params)
    initial = cell.init_carry(params, x)
    wide = wide_dtype(params, initial)

    def start(leaves):
        learned = cell.init_carry(from_leaves(params, leaves), x)
        return to_vector(learned if carry is None else carry, wide)

    key, draw = _split(key)
    influence = rule.begin(units, draw, start, to_leaves(params, wide))
    return OnlineState(initial if carry is None else carry, influence, units, key)


def step_row(
    cell: Cell, rule: Rule, params: Params, state: OnlineState, x: Any, is_real: Any, is_reset: Any
) -> tuple[OnlineState, Any]:
    """One step, and its output, with the derivative of all steps; flags are None or bool ()."""
    x = zero_where_masked(is_real, x)
    fixed, old, still = jax.lax.stop_gradient((params, state, x))
    before = old
    if is_reset is not None:
        initial = begin_row(cell, rule, old.units, fixed, None, old.key, still)
        before = select(is_reset, initial, old)
    influence, key = _advance(cell, rule, fixed, before, still)
    carry = next_carry(cell, fixed, before.carry, x)
    y = _output(cell, rule, params, before.units, influence, carry, x)
    new = before._replace(carry=jax.lax.stop_gradient(carry), influence=influence, key=key)
    if is_real is None:
        return new, y
    return select(is_real, new, old), zero_where_masked(is_real, y)


def next_carry(cell: Cell, params: Params, carry: Carry, x: Any) -> Carry:
    """One step of `cell`, from parameters that are not prepared yet."""
    ready = prepared(cell, params, None)
    return cell.update(ready, carry, cell.project(ready, x), cell.recur(ready, carry))


def _advance(cell, rule, params, state, x):
    """The influence on the carry after this step, and the key for the next one."""
    carry, influence, units, key = state
    wide = wide_dtype(params, carry)
    key, draw = _split(key)

    def move(leaves, vector):
        before = from_vector(carry, vector)
        return to_vector(next_carry(cell, from_leaves(params, leaves), before, x), wide)

    leaves, vector = to_leaves(params, wide), to_vector(carry, wide)
    return rule.advance(units, draw, influence, move, leaves, vector), key


def _output(cell, rule, params, units, influence, carry, x):
    wide = wide_dtype(params, carry)
    vector = _attach(rule.along, to_leaves(params, wide), to_vector(carry, wide), units, influence)
    ready = prepared(cell, params, None)
    return cell.output(ready, from_vector(carry, vector), cell.project(ready, x))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _attach(along, leaves, vector, units, influence):
    """The vector, whose derivative with respect to the parameters is their influence on it."""
    return vector


@_attach.defjvp
def _attach_jvp(along, primals, tangents):
    _, vector, units, influence = primals
    dleaves, dvector, _, _ = tangents
    return vector, dvector + along(units, influence, dleaves)


def _split(key):
    return (None, None) if key is None else jax.random.split(key)
