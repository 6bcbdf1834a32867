"""What all online gradients do around their rule: arguments are checked, and rows are mapped."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxrnn._core.mesh import with_auto_axes
from jaxrnn._core.noise import batch_axes, without_noise
from jaxrnn._core.shardings import like_step
from jaxrnn._core.timed import check_gaps, inputs_of
from jaxrnn._core.types import Cell
from jaxrnn.online._checks import check_flag, check_learnable, check_start, check_state
from jaxrnn.online._row import begin_row, step_row
from jaxrnn.online._types import OnlineCell, Rule


def build(name: str, cell: Cell, rule: Rule) -> OnlineCell:
    """The two functions of the method `name`, which keeps the influence by `rule`."""
    check_learnable(name, cell)

    def init(params, x, carry=None, *, key=None):
        x = inputs_of(cell, x)
        check_start(name, cell, params, carry, x, key, rule.draws)
        units, batch = rule.find_units(cell, params, x), _batch(cell, x)
        key = key if rule.draws else None
        keys = jax.random.split(key, batch) if batch and rule.draws else key
        x = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), x)
        run = _begin if cell.fixed_key is None else _compiled_begin
        return run(cell, rule, units, params, carry, keys, x)

    def step(params, state, x, *, mask=None, resets=None):
        x = inputs_of(cell, x)
        check_state(cell, params, state, x)
        for flag_name, flag in (("mask", mask), ("resets", resets)):
            check_flag(flag_name, flag, _batch(cell, x))
        check_gaps(x, mask)
        given = {"params": params, "carry": state, "x": x, "mask": mask, "resets": resets}
        run = _step if cell.fixed_key is None else _compiled_step
        return with_auto_axes(lambda given: run(cell, rule, *given.values()), given, like_step)

    return OnlineCell(init, step)


def over_rows(function: Callable, num_axes: int) -> Callable:
    """`function` of one row, mapped over leading batch axes."""
    for _ in range(num_axes):
        function = jax.vmap(function)
    return function


def _batch(cell: Cell, x: Any) -> tuple[int, ...]:
    return batch_axes(without_noise(x), cell.num_feature_axes)


def _begin(cell, rule, units, params, carry, keys, x):
    def begin(carry, key, x):
        return begin_row(cell, rule, units, params, carry, key, x)._replace(units=())

    return over_rows(begin, len(_batch(cell, x)))(carry, keys, x)._replace(units=units)


def _step(cell, rule, params, state, x, mask, resets):
    units = state.units  # no row has its own

    def step(state, x, mask, resets):
        state = state._replace(units=units)
        new, y = step_row(cell, rule, params, state, x, mask, resets)
        return new._replace(units=()), y

    rows = over_rows(step, len(_batch(cell, x)))
    state, y = rows(state._replace(units=()), x, mask, resets)
    return state._replace(units=units), y


# For a cell that cannot change: an equal one finds the same program.
_compiled_begin = jax.jit(_begin, static_argnums=(0, 1))
_compiled_step = jax.jit(_step, static_argnums=(0, 1))
