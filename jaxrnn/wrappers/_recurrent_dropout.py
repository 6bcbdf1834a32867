"""Dropout within a cell: of its candidate, or of the state that the recurrent product reads."""

import inspect

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_rate
from jaxrnn._core.context import prepared
from jaxrnn._core.entry import constructor
from jaxrnn._core.masking import inside_leaf_resets
from jaxrnn._core.noise import StateDropoutCarry, drop, keep, keep_leaves, noisy
from jaxrnn._core.numerics import is_floating
from jaxrnn._core.sharing import check_shared_axes
from jaxrnn._core.types import Cell, check_cell, check_splits


@constructor
def candidate_dropout(cell: Cell, rate: float, *, shared_axes: tuple[int, ...] = ()) -> Cell:
    """Drops units of the candidate, which is what the gates write into the carry.

        c' = σ(f) c + σ(i) d(tanh(g))     LSTM
        h' = z h + (1 - z) d(n)           GRU

    d sets a unit to zero with probability `rate`, drawn at each step, and divides the others by
    ``1 - rate``. What the carry already holds is not touched.

    Args:
      cell: one whose `update` takes ``drop``, a function that it applies to its candidate, as
        ``update(params, carry, u, v, drop=lambda candidate: candidate)``: `jaxrnn.lstm` and
        `jaxrnn.gru`, with layer normalization or without, and `jaxrnn.conv_lstm` and
        `jaxrnn.conv_gru`.
      rate: the probability, in [0, 1).
      shared_axes: the axes of the candidate over which one draw is shared, counted from the last,
        -1: ``(-3, -2)`` drops whole channels of pictures (..., height, width, channels).

    Returns:
      A `Cell` with the parameters and the carry of `cell`. It draws random numbers where the layer
      that runs it is given a key, and drops nothing elsewhere.

    Raises:
      ValueError, TypeError: `rate` is not in [0, 1), `shared_axes` are not axes of the candidate,
        or `cell` has no such update.

    References: Semeniuta, Severyn and Barth, 2016, "Recurrent dropout without memory loss".

    Examples:
      >>> layer = jaxrnn.rnn(jaxrnn.candidate_dropout(jaxrnn.lstm(8), 0.25))
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = layer.init(jax.random.key(0), xs)
      >>> _, ys = layer.apply(params, None, xs)  # drops nothing
      >>> carry, dropped = layer.apply(params, None, xs, key=jax.random.key(1))
      >>> bool((ys == dropped).all()), carry.position.tolist()
      (False, [5, 5])
    """
    check_cell(cell)
    rate = check_rate("rate", rate)
    check_shared_axes(shared_axes)
    if "drop" not in inspect.signature(cell.update).parameters:
        raise TypeError(
            "`cell` must have an `update` that takes `drop`, a function for its candidate: "
            "`update(params, carry, u, v, drop=...)`. A wrapped cell has none: put "
            "`candidate_dropout` innermost."
        )

    def draw(params, key, step, x):
        shape = _candidate_shape(cell, params, x)
        return keep(jax.random.fold_in(key, step), rate, shape, shared_axes)

    def update(params, carry, u, v, kept):
        if kept is None:
            return cell.update(params, carry, u, v)
        return cell.update(params, carry, u, v, drop=lambda g: drop(kept, g, rate))

    return noisy(cell, draw, update)


def _candidate_shape(cell, params, x):
    shapes = []

    def record(candidate):
        shapes.append(candidate.shape)
        return candidate

    def step(params, x):
        carry, ready = cell.init_carry(params, x), prepared(cell, params, None)
        u, v = cell.project(ready, x), cell.recur(ready, carry)
        return cell.update(ready, carry, u, v, drop=record)

    jax.eval_shape(step, params, x)
    if not shapes:
        raise TypeError("`cell` has an `update` that takes `drop`, and applies it to nothing.")
    return shapes[0]


@constructor
def state_dropout(cell: Cell, rate: float, *, shared_axes: tuple[int, ...] = ()) -> Cell:
    """Drops units of the state that the recurrent product reads, the same ones at every step.

        v = U d(h)

    d sets a unit to zero with probability `rate`, and divides the others by ``1 - rate``. It is
    drawn once for a row of the batch and for each leaf of the carry; segments in a row share it.
    The gates read the whole h, and so does the first step, of the carry that it is given.

    Args:
      cell: any cell but one from `jaxrnn.from_step`.
      rate: the probability, in [0, 1).
      shared_axes: the axes of a leaf over which one draw is shared, counted from the last, -1:
        ``(-3, -2)`` drops whole channels of pictures (..., height, width, channels).

    Returns:
      A `Cell` with the parameters of `cell` and carry `StateDropoutCarry`. It draws random numbers
      where the layer that runs it is given a key, and drops nothing elsewhere.

    Raises:
      ValueError, TypeError: `rate` is not in [0, 1), `shared_axes` are not axes of the leaves, or
        `cell` comes from `from_step`, or from `jaxrnn.reset_leaves`, which goes outside.

    References: Gal and Ghahramani, 2016, "A theoretically grounded application of dropout in
    recurrent neural networks".

    Examples:
      >>> layer = jaxrnn.rnn(jaxrnn.state_dropout(jaxrnn.lstm(8), 0.5))
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = layer.init(jax.random.key(0), xs)
      >>> (carry, position), ys = layer.apply(params, None, xs, key=jax.random.key(1))
      >>> read, h = carry.dropped.h, carry.carry.h  # what the product reads, and the state
      >>> bool(((read == 0) | (read == 2 * h)).all())
      True
    """
    check_splits("state_dropout", cell)
    rate = check_rate("rate", rate)
    check_shared_axes(shared_axes)

    def init_carry(params, x):
        carry = cell.init_carry(params, x)
        copy = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), carry)  # to be donated
        return StateDropoutCarry(carry, copy)

    def recur(params, carry):
        return cell.recur(params, carry.dropped)

    def draw(params, key, step, x):
        carry = jax.eval_shape(cell.init_carry, params, x)
        return keep_leaves(key, [rate] * len(jax.tree.leaves(carry)), carry, shared_axes)

    def update(params, carry, u, v, kept):
        new = cell.update(params, carry.carry, u, v)
        if kept is None:
            return StateDropoutCarry(new, new)
        leaves, structure = jax.tree.flatten(new)
        dropped = [
            drop(k, leaf, rate) if is_floating(leaf) else leaf
            for k, leaf in zip(kept, leaves, strict=True)
        ]
        return StateDropoutCarry(new, structure.unflatten(dropped))

    def output(params, carry, u):
        return cell.output(params, carry.carry, u)

    inner = cell._replace(init_carry=init_carry, recur=recur, output=output)
    return noisy(inside_leaf_resets("state_dropout", inner), draw, update)
