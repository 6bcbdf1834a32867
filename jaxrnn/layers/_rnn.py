"""The recurrent layer: a cell that runs over a sequence."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, example
from jaxrnn._core.context import Drawing, handed
from jaxrnn._core.entry import constructor
from jaxrnn._core.flags import check_mask_and_resets
from jaxrnn._core.matching import check_carry
from jaxrnn._core.noise import (
    CountedCarry,
    Noisy,
    batch_axes,
    count_steps,
    for_each_step,
    without_batch,
)
from jaxrnn._core.timed import inputs_of
from jaxrnn._core.types import Carry, Cell, Layer, Params, check_cell
from jaxrnn.engines._contract import check_params_of
from jaxrnn.engines._unroll import Choices, check_choices, unroll
from jaxrnn.engines.newton._options import Newton


@constructor
def rnn(cell: Cell, *, reverse: bool = False, implementation: str | Newton | None = None) -> Layer:
    """Recurrent layer: runs `cell` over a sequence.

    A cell that draws random numbers needs the number of each step. If `apply` is given a key, it
    therefore returns a `jaxrnn.wrappers.CountedCarry`, from which the next chunk continues; a carry
    without a count starts at step 0. Without a key, the carry keeps the type of the given one, by
    default the type of the cell's carry.

    Args:
      cell: what to run at each step.
      reverse: whether to run from the last step to the first, as in `jaxrnn.unroll`.
      implementation: the engine that runs it, as in `jaxrnn.unroll`.

    Returns:
      A `Layer` with the parameters and the carry of `cell`: (T, ..., I) -> (T, ..., H).

    Raises:
      ValueError, TypeError: `cell` is not a `Cell`, `reverse` is not a bool, or `implementation` is
        unknown.

    Examples:
      >>> layer = jaxrnn.rnn(jaxrnn.lstm(8), reverse=True)
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = layer.init(jax.random.key(0), xs)
      >>> mask = jaxrnn.length_mask(jnp.array([5, 2]), 5)
      >>> carry, ys = layer.apply(params, None, xs, mask=mask)
      >>> bool(jnp.allclose(carry.h, ys[0])), ys[2:, 1].sum().tolist()  # it ends at step 0
      (True, 0.0)
    """
    check_cell(cell)
    check_bool("reverse", reverse)
    choices = Choices(bool(reverse), implementation)
    check_choices(cell, choices)
    run = functools.partial(unroll, cell, **choices._asdict())

    def init(key, xs):
        return cell.init(key, inputs_of(cell, example(xs)))

    def init_carry(params, xs):
        x = inputs_of(cell, example(xs))
        check_params_of(cell, params, x)
        return _without_params(cell.init_carry(params, x), params)

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        xs = inputs_of(cell, xs)
        context = _keyed(cell, handed(context), key)
        options = {"mask": mask, "resets": resets, "context": context}
        if cell.noise is None or (key is None and not isinstance(carry, CountedCarry)):
            return run(params, carry, xs, **options)
        check_params_of(cell, params, example(xs))  # `noise` may compute with them
        carry, positions, last = _count(cell, params, carry, xs, mask, resets, reverse)
        if key is not None:
            x = without_batch(example(xs), cell.num_feature_axes)
            draw = functools.partial(cell.noise, params, x=x)
            xs = Noisy(xs, for_each_step(draw, key, positions))
        carry, ys = run(params, carry, xs, **options)
        return CountedCarry(carry, last), ys

    return Layer(init, init_carry, apply)


def _without_params(carry, params):
    """`carry` with copies of what are parameters, so that donating it does not delete them."""
    own = set(map(id, jax.tree.leaves(params)))
    return jax.tree.map(lambda x: jnp.array(x, copy=True) if id(x) in own else x, carry)


def _keyed(cell: Cell, context: Any, key: jax.Array | None) -> Any:
    """`context`, with a key for a cell that draws once per call."""
    if key is None or not isinstance(cell.prepare, Drawing):
        return context
    return context._replace(key=jax.random.split(key)[1])


def _count(
    cell: Cell, params: Params, carry: Carry, xs: Any, mask: Any, resets: Any, reverse: bool
) -> tuple[Carry, jax.Array, jax.Array]:
    """The cell's carry, the number of each step, and the number after the last step."""
    batch = batch_axes(example(xs), cell.num_feature_axes)
    if isinstance(carry, CountedCarry):
        carry, start = carry
        expected = jax.ShapeDtypeStruct(batch, jnp.int32)
        cause = "It counts the steps of each sequence. Does it belong to another batch?"
        check_carry(start, expected, name="carry.position", cause=cause)
    else:
        start = jnp.zeros(batch, jnp.int32)
    check_mask_and_resets(mask, resets, start)
    num_steps = jax.tree.leaves(xs)[0].shape[0]

    def turn(flags):
        return jnp.flip(flags, axis=0) if reverse and flags is not None else flags

    positions, last = count_steps(start, turn(mask), turn(resets), num_steps)
    return carry, turn(positions), last
