"""Resets for each leaf of the carry."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import describe
from jaxrnn._core.context import prepare_with
from jaxrnn._core.entry import constructor
from jaxrnn._core.masking import WithResets, select
from jaxrnn._core.noise import Noisy, batch_axes, without_noise
from jaxrnn._core.types import Cell, Params, WholeStep, advance, check_cell, is_whole, nothing


class _Ready(NamedTuple):
    params: Params  # as `init` made them, for the initial carry
    prepared: Params


@constructor
def reset_leaves(cell: Cell) -> Cell:
    """`cell`, whose inputs say for each leaf of the carry whether it is reset before the step.

        carry_i = initial_i if reset_i else carry_i,  then the step of `cell`

    The `resets` of `jaxrnn.unroll` restore the whole carry. Here a memory can outlive what is
    otherwise forgotten, as in ``WithResets(x, LSTMCarry(h=done, c=is_new_player))``. No gradient
    crosses a reset, in its leaf.

    Args:
      cell: any cell.

    Returns:
      A `Cell` for inputs `WithResets`, with the parameters and the carry of `cell`. In a stack it
      comes first, because these are its own inputs. A masked step resets nothing, and a layer in
      reverse resets a leaf before the step that comes next in its direction. Wrappers that read the
      carry before the step, such as `zoneout` and `learned_carry`, go inside.

    Raises:
      TypeError: `cell` is not a `Cell`; later, if its inputs are not `WithResets`, or a reset is
        not bool.
      ValueError: later, if the resets do not have the structure of the carry and the batch axes of
        ``x``.

    References: after `ResetCore` of Haiku.

    Examples:
      >>> cell = jaxrnn.reset_leaves(jaxrnn.lstm(8))
      >>> done = jnp.array([[False], [False], [True]])  # (T, B)
      >>> resets = jaxrnn.LSTMCarry(h=done, c=jnp.zeros_like(done))
      >>> xs = jaxrnn.WithResets(jnp.ones((3, 1, 4)), resets)
      >>> layer = jaxrnn.rnn(cell)
      >>> carry, ys = layer.apply(layer.init(jax.random.key(0), xs), None, xs)
      >>> bool(jnp.allclose(ys[2], ys[0]))  # h starts again, and the memory c goes on
      False
    """
    check_cell(cell)

    def init(key, x):
        return cell.init(key, _parts(x)[0])

    def init_carry(params, x):
        return cell.init_carry(params, _parts(x)[0])

    def noise(params, key, step, x):
        return cell.noise(params, key, step, _parts(x)[0])

    def restored(params, carry, x, resets):
        """The carry from which the step of `cell` is made."""
        initial = cell.init_carry(params.params, without_noise(x))
        _check_resets(resets, carry, batch_axes(without_noise(x), cell.num_feature_axes))
        return jax.tree.map(select, resets, initial, carry)

    def project(params, x):
        x, resets = _parts(x)
        return cell.project(params.prepared, x), x, resets

    def update(params, carry, u, v):
        u, x, resets = u
        carry = restored(params, carry, x, resets)
        return cell.update(params.prepared, carry, u, cell.recur(params.prepared, carry))

    def output(params, carry, u):
        return cell.output(params.prepared, carry, u[0])

    def step(params, carry, x):
        x, resets = _parts(x)
        u = cell.project(params.prepared, x)
        return advance(cell, params.prepared, restored(params, carry, x, resets), u)

    wrapped = cell._replace(
        init=init,
        init_carry=init_carry,
        prepare=prepare_with(cell, lambda params, context, inner: _Ready(params, inner(params))),
        noise=noise if cell.noise else None,
    )
    if is_whole(cell):
        return wrapped._replace(update=WholeStep(step))
    # What is recurrent is multiplied in `update`: `recur` sees the carry before it is reset.
    return wrapped._replace(project=project, recur=nothing, update=update, output=output)


def _parts(inputs):
    """The inputs of the cell, with its noise if there is any, and the resets."""
    x = without_noise(inputs)
    if not isinstance(x, WithResets):
        raise TypeError(
            "`x` must be `jaxrnn.WithResets(x, resets)`, as the cell comes from `reset_leaves`, "
            f"got {describe(x)}."
        )
    return (Noisy(x.x, inputs.noise) if isinstance(inputs, Noisy) else x.x), x.resets


def _check_resets(resets, carry, batch):
    if jax.tree.structure(resets) != jax.tree.structure(carry):
        raise ValueError(
            f"`resets` must have the structure of the carry, {jax.tree.structure(carry)}, got "
            f"{jax.tree.structure(resets)}. To reset all leaves at once, use "
            "`jax.tree.map(lambda leaf: done, carry)`, or the `resets` of the layer."
        )
    for leaf in jax.tree.leaves(resets):
        if leaf.dtype != jnp.bool_:
            raise TypeError(
                f"`resets` must be bool, got {describe(leaf)}. Compare first, as in `done > 0`."
            )
        if leaf.shape != batch:
            raise ValueError(
                f"`resets` must have the batch axes of `x`, {batch}, got {describe(leaf)}: one "
                "value for each sequence and each leaf, without features."
            )
