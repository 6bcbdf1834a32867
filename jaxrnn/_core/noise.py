"""Random numbers come in through the front door: as inputs, drawn before the loop.

What a cell draws for a step is a function of the key, the row (the place in the batch), and the
number of the step since the row began or was reset, and of nothing else. So it is the same in one
run and in chunks, padded on either side or not.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.masking import over_batch
from jaxrnn._core.numerics import is_floating
from jaxrnn._core.sharing import Axes, shared_shape
from jaxrnn._core.types import Carry, Cell


class Noisy(NamedTuple):
    """Inputs of a cell that draws random numbers, with what it has drawn."""

    x: Any  # (..., I)
    noise: Any  # of ``cell.noise``, with the same leading axes


class CountedCarry(NamedTuple):
    """The carry of a layer whose cell draws random numbers, once it has been given a key."""

    carry: Carry  # of the cell
    position: jax.Array  # (...), int32: the number of steps that each sequence has made


class StateDropoutCarry(NamedTuple):
    """The carry of `jaxrnn.state_dropout`."""

    carry: Carry  # of the cell
    dropped: Carry  # what the recurrent product reads


def noisy(cell: Cell, draw: Callable, update: Callable) -> Cell:
    """`cell` with an update that is also given noise.

    Args:
      cell: a cell with an output equation; it may draw random numbers itself.
      draw: ``(params, key, step, x) -> own``, as `Cell.noise`.
      update: ``(params, carry, u, v, own) -> carry``; u is the one that `cell` makes, and own is
        None where nothing was drawn.
    """

    def init(key, x):
        return cell.init(key, without_noise(x))

    def init_carry(params, x):
        return cell.init_carry(params, without_noise(x))

    def project(params, x):
        if not isinstance(x, Noisy):
            return cell.project(params, x), None
        own, inner = x.noise
        _check_fits(own, x.x, cell.num_feature_axes)
        return cell.project(params, x.x if inner is None else Noisy(x.x, inner)), own

    def update_with(params, carry, u, v):
        u, own = u
        return update(params, carry, u, v, own)

    def output(params, carry, u):
        return cell.output(params, carry, u[0])

    def noise(params, key, step, x):
        own = draw(params, jax.random.fold_in(key, 0), step, x)
        if cell.noise is None:
            return own, None
        return own, cell.noise(params, jax.random.fold_in(key, 1), step, x)

    return cell._replace(
        init=init,
        init_carry=init_carry,
        project=project,
        update=update_with,
        output=output,
        noise=noise,
    )


def without_noise(x: Any) -> Any:
    """The inputs of the cell."""
    return x.x if isinstance(x, Noisy) else x


def batch_axes(x: Any, num_feature_axes: int = 1) -> tuple[int, ...]:
    """The batch axes of a step ``x``, an array (..., I) or a pytree of arrays.

    The array with the most axes decides. Its last `num_feature_axes` axes belong to one input;
    integer symbols lack the last of these.
    """

    def batch(leaf):
        return leaf.shape[: max(0, leaf.ndim - num_feature_axes + (not is_floating(leaf)))]

    return max(map(batch, jax.tree.leaves(x)), key=len)


def without_batch(x: Any, num_feature_axes: int = 1) -> Any:
    """The shape and dtype of one of the inputs in ``x``."""
    count = len(batch_axes(x, num_feature_axes))
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[count:], leaf.dtype), x)


def _check_fits(noise, x, num_feature_axes):
    if not all(hasattr(leaf, "shape") for leaf in jax.tree.leaves(x)):
        return
    batch = batch_axes(x, num_feature_axes)
    for leaf in jax.tree.leaves(noise):
        if leaf.shape[: len(batch)] != batch:
            raise ValueError(
                f"`noise` must begin with the leading axes {batch} of its input, got {leaf.shape}. "
                "Each sequence has noise of its own at each step."
            )


def check_no_state_dropout(name: str, carry: Carry) -> None:
    """Raises if a carry holds the state twice, so that a wrapper would change one of the two."""
    if any(map(_is_state_dropout, _nodes(carry))):
        raise ValueError(
            f"`{name}` must be inside `state_dropout`, which makes what the recurrent product "
            f"reads from the carry: write `state_dropout({name}(cell, ...), ...)`."
        )


def renew_state_dropout(carry: Carry) -> Carry:
    """`carry`, with nothing dropped from what the recurrent product reads."""

    def renew(node):
        return StateDropoutCarry(node.carry, node.carry) if _is_state_dropout(node) else node

    return jax.tree.map(renew, carry, is_leaf=_is_state_dropout)


def _nodes(carry):
    return jax.tree.leaves(carry, is_leaf=_is_state_dropout)


def _is_state_dropout(node):
    return isinstance(node, StateDropoutCarry)


def for_each_step(draw: Callable, key: jax.Array, positions: jax.Array) -> Any:
    """``draw(key, position)`` for each step of each sequence, a pytree of arrays (T, ..., shape).

    Args:
      draw: from the key of a sequence and the number of the step in it.
      key: one key for all.
      positions: int32 (T, ...).
    """
    num_steps, *batch = positions.shape
    key = _threefry(key)
    rows = jnp.arange(math.prod(batch), dtype=jnp.uint32)

    def at(row, position):
        return draw(jax.random.fold_in(key, row), position)

    over_time = jax.vmap(jax.vmap(at), (None, 0))
    flat = over_time(rows, positions.reshape(num_steps, rows.size))
    return jax.tree.map(lambda x: x.reshape(*positions.shape, *x.shape[2:]), flat)


def _threefry(key):
    """A threefry key, whose draws do not depend on what is drawn beside them under `jax.vmap`."""
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    key = key if typed else jax.random.wrap_key_data(key)
    if str(jax.random.key_impl(key)) == "threefry2x32":
        return key
    data = jax.random.bits(key, (2,), jnp.uint32)
    return jax.random.wrap_key_data(data, impl="threefry2x32")


Rate = float | jax.Array  # a traced one in a sweep by `jax.vmap`


def keep(key: jax.Array, rate: Rate, shape: tuple, shared_axes: Axes = ()) -> jax.Array:
    """What dropout with this rate keeps, bool: the same draw whether 64 bits are on or off.

    Its shape is `shape`, with 1 along the axes over which a draw is shared.
    """
    share = 1 - in_dtype(rate, jnp.float32)
    return jax.random.uniform(key, shared_shape(shape, shared_axes), jnp.float32) < share


def drop(kept: jax.Array, x: jax.Array, rate: Rate) -> jax.Array:
    """`x` where kept, divided by ``1 - rate`` so that its expectation stays, and 0 elsewhere."""
    return jnp.where(kept, x / (1 - in_dtype(rate, x.dtype)), jnp.zeros_like(x))


def in_dtype(rate: Rate, dtype: Any) -> Rate:
    """A rate to compute with in `dtype`; a number is as it is."""
    return rate.astype(dtype) if isinstance(rate, jax.Array) else rate


def is_zero(rate: Rate) -> bool:
    """Whether the rate is known to be 0, so that nothing need be drawn."""
    return not isinstance(rate, jax.Array) and rate == 0


def keep_leaves(
    key: jax.Array, rates: list[Rate], carry: Carry, shared_axes: Axes = ()
) -> list[jax.Array]:
    """`keep` for each leaf of a carry, or of its shapes, with a rate each."""

    def keep_leaf(key, rate, leaf):
        return keep(key, rate, leaf.shape, shared_axes if is_floating(leaf) else ())

    leaves = jax.tree.leaves(carry)
    return list(map(keep_leaf, jax.random.split(key, len(leaves)), rates, leaves))


def count_steps(
    start: jax.Array, mask: jax.Array | None, resets: jax.Array | None, num_steps: int
) -> tuple[jax.Array, jax.Array]:
    """The number of each step in its sequence, int32 (T, ...), and the number after the last one.

    Args:
      start: the steps that each sequence has made before, int32 (...).
      mask: bool (T, ...) or None; padding is not counted.
      resets: bool (T, ...) or None; where True, the count starts again.
      num_steps: T.
    """
    shape = (num_steps, *start.shape)
    if mask is None and resets is None:  # XLA would compute the sums below when it compiles, slowly
        positions = start[None] + jax.lax.broadcasted_iota(jnp.int32, shape, 0)
        return positions, start if num_steps == 0 else positions[-1] + 1
    is_real = over_batch(mask, shape, True)
    is_reset = over_batch(resets, shape, False)
    steps = is_real.astype(jnp.int32)
    before = jnp.cumsum(steps, axis=0) - steps
    # The count at the latest reset, or -start where there has been none.
    marks = jnp.where(is_reset & is_real, before, -start)
    positions = before - jax.lax.cummax(marks, axis=0)
    if num_steps == 0:
        return positions, start
    return positions, positions[-1] + steps[-1]
