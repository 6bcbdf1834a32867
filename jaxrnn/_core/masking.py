"""Masks and resets, as wrappers of a cell: they need nothing from the loop that runs it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import check_count, describe
from jaxrnn._core.ranges import check_known
from jaxrnn._core.types import Carry, Cell, Params, WholeStep, is_whole


def length_mask(lengths: jax.Array, num_steps: int) -> jax.Array:
    """The mask of right-padded sequences.

    Args:
      lengths: integers (...), the number of real steps of each sequence, 0 to T.
      num_steps: T.

    Returns:
      bool (T, ...): True where t < length.

    Raises:
      TypeError: `lengths` is not of integers, or `num_steps` is not an integer.
      ValueError: T is below 0; or a length is below 0 or above T, where the lengths are known, that
        is, in NumPy or in an array on a CPU, outside `jit`.

    Examples:
      >>> mask = jaxrnn.length_mask(np.array([2, 3]), 4)  # lengths of 2 sequences, padded to T = 4
      >>> mask.shape
      (4, 2)
      >>> mask[:, 0].tolist()
      [True, True, False, False]
      >>> mask.sum(axis=0).tolist()
      [2, 3]
    """
    check_count("num_steps", num_steps)
    given = lengths if hasattr(lengths, "dtype") else np.asarray(lengths)
    if not jnp.issubdtype(given.dtype, jnp.integer):
        raise TypeError(f"`lengths` must be integers, got {describe(given)}.")
    if not jax.export.is_symbolic_dim(num_steps):
        cause = f"Is `num_steps` = {num_steps} the padded length T of the batch?"
        check_known("lengths", given, None, 0, num_steps, cause=cause)
    lengths = jnp.asarray(given)
    if lengths.dtype.itemsize < 4:  # T steps could not be counted
        lengths = lengths.astype(jnp.int32)
    steps = jnp.arange(num_steps, dtype=lengths.dtype)
    return steps.reshape(num_steps, *(1,) * lengths.ndim) < lengths[None]


def over_batch(flags: jax.Array | None, shape: tuple[int, ...], default: bool) -> jax.Array:
    """Flags (T, ...) that may lack the last batch axes, with all of `shape`; None is `default`."""
    if flags is None:
        return jnp.full(shape, default)
    return jnp.broadcast_to(flags.reshape(*flags.shape, *(1,) * (len(shape) - flags.ndim)), shape)


def select(flags: jax.Array, where_true: Any, where_false: Any) -> Any:
    """`jnp.where` on pytrees, with `flags` (...) aligned to the leading axes of each leaf."""

    def choose(a, b):
        aligned = flags.reshape(*flags.shape, *(1,) * (a.ndim - flags.ndim))
        return jax.lax.select(jnp.broadcast_to(aligned, a.shape), a, b)

    return jax.tree.map(choose, where_true, where_false)


def zero_where_masked(mask: jax.Array | None, xs: Any) -> Any:
    """`xs` with zeros where `mask` is False.

    Padding is replaced before anything is computed from it. To select afterwards is not enough: the
    gradient of the branch that is thrown away would be 0 times NaN.
    """
    if mask is None:
        return xs
    return select(mask, xs, jax.tree.map(jnp.zeros_like, xs))


def masked(cell: Cell) -> Cell:
    """`cell` for inputs ``(x, is_real)``: where False the carry is held and the output is zero.

    What x holds there must already be harmless: see `zero_where_masked`.
    """

    def project(params, x):
        x, is_real = x
        return cell.project(params, x), is_real

    def update(params, carry, u, v):
        u, is_real = u
        return select(is_real, cell.update(params, carry, u, v), carry)

    def output(params, carry, u):
        u, is_real = u
        return zero_where_masked(is_real, cell.output(params, carry, u))

    def step(params, carry, x):
        x, is_real = x
        new, y = cell.update.step(params, carry, x)
        return select(is_real, new, carry), zero_where_masked(is_real, y)

    if is_whole(cell):
        return cell._replace(update=WholeStep(step))
    return cell._replace(project=project, update=update, output=output)


class WithResets(NamedTuple):
    """The inputs of a cell from `jaxrnn.reset_leaves`."""

    x: Any  # (..., I), of the cell
    resets: Carry  # bool (...) for each leaf of the carry


def check_no_leaf_resets(name: str, x: Any) -> None:
    """Raises if the wrapper `name`, which reads the carry before the step, gets `WithResets`."""
    if isinstance(x, WithResets):
        raise ValueError(
            f"`{name}` must be inside `reset_leaves`, or it would read the carry before it is "
            f"reset: write `reset_leaves({name}(cell, ...))`."
        )


def inside_leaf_resets(name: str, cell: Cell) -> Cell:
    """`cell`, whose `init` refuses inputs `WithResets` for the wrapper `name` around it."""

    def init(key, x):
        check_no_leaf_resets(name, x)
        return cell.init(key, x)

    return cell._replace(init=init)


class ResettingParams(NamedTuple):
    params: Params  # of the wrapped cell
    carry: Carry  # the carry that a reset restores
    v: Any  # recur of it


def resetting_params(cell: Cell, params: Params, carry: Carry) -> ResettingParams:
    """The parameters of `resetting(cell)`, whose resets restore `carry`."""
    return ResettingParams(params, carry, cell.recur(params, carry))


def resetting(cell: Cell) -> Cell:
    """`cell` for inputs ``(x, is_reset)``: where True it steps from a given carry.

    Its parameters are `resetting_params`. `update` replaces the carry, and with it v, which `recur`
    made from the carry that is thrown away; so `recur` stays linear in the carry.
    """

    def project(params, x):
        x, is_reset = x
        return cell.project(params.params, x), is_reset

    def recur(params, carry):
        return cell.recur(params.params, carry)

    def update(params, carry, u, v):
        u, is_reset = u
        carry = select(is_reset, params.carry, carry)
        return cell.update(params.params, carry, u, select(is_reset, params.v, v))

    def output(params, carry, u):
        return cell.output(params.params, carry, u[0])

    def step(params, carry, x):
        x, is_reset = x
        return cell.update.step(params.params, select(is_reset, params.carry, carry), x)

    if is_whole(cell):
        return cell._replace(update=WholeStep(step))
    return cell._replace(project=project, recur=recur, update=update, output=output)
