"""The gradient of a chunk of a sequence, forward in time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_sequence
from jaxrnn._core.loop import Loop, scan
from jaxrnn._core.numerics import sum_dtype
from jaxrnn._core.types import Params


def accumulate(
    loss: Callable[[Params, Any, Any], tuple[jax.Array, Any]],
    params: Params,
    state: Any,
    batch: Any,
) -> tuple[Any, jax.Array, Params]:
    """The sum of the gradients of the steps of a chunk, computed forward in time.

    Its memory does not grow with the number of steps. Chunks may follow one another, with the same
    parameters or with new ones: the state goes on. To change the parameters after each step,
    write the loop, as in the page on online learning.

    Args:
      loss: ``(params, state, step) -> (value, state)``, the loss of one time step, a scalar, from
        the `step` of an `OnlineCell`. The parameters may have more than those of the cell, such as
        a readout.
      params: a pytree of floating arrays.
      state: from the `init` of the `OnlineCell`, or from the chunk before.
      batch: a pytree of arrays (T, ...): inputs, targets, a mask. `step` has their leaves at one
        step.

    Returns:
      The state after the last step, the values of all steps, (T,), and the gradient of their sum,
      like `params`.

    Raises:
      ValueError, TypeError: the leaves of `batch` are not arrays (T, ...) with one T.

    References: Williams and Zipser, 1989, "A learning algorithm for continually running fully
    recurrent neural networks".

    Examples:
      >>> cell, xs = jaxrnn.elman(4), jnp.ones((7, 3, 2))  # (T, B, I)
      >>> params, online = cell.init(jax.random.key(1), xs[0]), jaxrnn.online.rtrl(cell)
      >>> def loss(params, state, x):
      ...     state, y = online.step(params, state, x)
      ...     return jnp.sum(y**2), state
      >>> start = online.init(params, xs[0])
      >>> state, values, grads = jaxrnn.online.accumulate(loss, params, start, xs)
      >>> values.shape, grads.kernel.shape
      ((7,), (2, 4))
    """
    length = check_sequence(batch, "batch")
    differentiate = jax.value_and_grad(loss, has_aux=True)

    def body(carried, step):
        state, total = carried
        (value, state), grads = differentiate(params, state, step)
        total = jax.tree.map(lambda sums, grad: sums + grad.astype(sums.dtype), total, grads)
        return (state, total), value

    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, sum_dtype(leaf.dtype)), params)
    (state, total), values = scan(Loop(length, False), body, (state, zeros), batch)
    return state, values, jax.tree.map(lambda sums, p: sums.astype(p.dtype), total, params)
