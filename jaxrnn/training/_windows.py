"""Training on a long sequence, window by window."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_array, check_sequence, check_size
from jaxrnn._core.matching import check_carry
from jaxrnn._core.types import Carry
from jaxrnn.layers._chunks import over_chunks


def train_windows(
    train_step: Callable[[Any, Carry, Any], tuple[Any, Carry, Any]],
    state: Any,
    carry: Carry,
    batch: Any,
    window: int,
) -> tuple[Any, Carry, Any]:
    """Truncated backpropagation through time: one training step per window of a sequence.

    The carry passes from window to window; the gradient does not, because each training step
    differentiates within its own window. Parameters change after every window; with
    `jaxrnn.truncate` they change after the whole sequence, and with
    ``optax.MultiSteps(optimizer, k)`` after every k windows. The loop over windows is compiled
    once, whatever their number.

    Args:
      train_step: ``(state, carry, window) -> (state, carry, out)``; `window` has the leaves of
        `batch` at its own steps. ``state`` holds the parameters and the optimizer state.
      state: the state before the first window.
      carry: the carry before the first step, from ``layer.init_carry``.
      batch: a pytree of arrays (T, ...): inputs, targets, a mask. None for an absent part.
      window: the number of steps per window. If it does not divide T, the last window is shorter.

    Returns:
      The state and the carry after the last window, and ``out`` of all N windows, (N, ...). N is
      T / window, rounded up.

    Raises:
      ValueError, TypeError: `window` is not a positive integer; the leaves of `batch` do not agree
        on T, or T is 0; or `carry` is not arrays like those that `train_step` returns.

    References: Williams and Peng, 1990, "An efficient gradient-based algorithm for on-line training
    of recurrent network trajectories".

    Examples:
      >>> def train_step(state, carry, window):  # learns a mean, and carries a sum
      ...     value, grads = jax.value_and_grad(lambda p: jnp.mean((window - p) ** 2))(state)
      ...     return state - 0.5 * grads, carry + window.sum(), value
      >>> start, xs = jnp.zeros(()), jnp.arange(10.0)
      >>> state, carry, losses = jaxrnn.training.train_windows(train_step, start, start, xs, 4)
      >>> float(state), float(carry), losses.shape  # windows of 4, 4 and 2 steps
      (8.5, 45.0, (3,))
    """
    check_size("window", window)
    length = check_sequence(batch, "batch")
    if length == 0:
        raise ValueError("`batch` has no time step to train on: T is 0.")
    if carry is None:
        raise ValueError(
            "`carry` must be given, because it passes from window to window. Start from "
            "`layer.init_carry(params, xs)`."
        )
    for leaf in jax.tree.leaves(carry):
        check_array("carry", leaf)

    def run(loop, window):
        state, carry, out = train_step(*loop, window)
        return (state, carry), jax.tree.map(jnp.asarray, out)

    def join(out, last):
        if out.shape[1:] != last.shape:
            raise ValueError(
                "`train_step` must return an `out` whose shape does not depend on the window, got "
                f"{out.shape[1:]}, and {last.shape} for the last window of {length % window} "
                "steps. Reduce it over time, or let `window` divide T."
            )
        return jnp.concatenate([out, last[None]])

    first = jax.tree.map(lambda x: x[:window], batch)
    (_, after), _ = jax.eval_shape(run, (state, carry), first)
    check_carry(after, carry, name="carry after a window", cause=_CAUSE)
    loop, outs, last = over_chunks(run, (state, carry), batch, window)
    if outs is None:
        return *loop, jax.tree.map(lambda x: x[None], last)
    return *loop, outs if last is None else jax.tree.map(join, outs, last)


_CAUSE = (
    "Every window must hand on a carry like the one it was given. Where a layer draws random "
    "numbers it counts steps: start from `carry, _ = layer.apply(params, None, xs[:0], key=key)`."
)
