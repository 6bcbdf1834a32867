"""The gradient of a loss with respect to the carry at every step."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_sequence, describe, example
from jaxrnn._core.dependency import floating, with_floating
from jaxrnn._core.noise import batch_axes, without_noise
from jaxrnn._core.numerics import is_floating
from jaxrnn._core.timed import inputs_of
from jaxrnn._core.types import Carry, Cell, Layer, Params
from jaxrnn.diagnostics._perturbed import perturbed, zeros_like
from jaxrnn.diagnostics._streaming import as_cell
from jaxrnn.engines._contract import check_params_of
from jaxrnn.engines._unroll import as_arrays, unroll


class CarryGradients(NamedTuple):
    """The gradient of a loss with respect to every carry of a sequence."""

    value: jax.Array  # (), the loss
    carries: Carry  # (T, ...), with respect to the carry before each step
    norms: Carry  # (T, ...) for each leaf of the carry: the lengths of `carries` in each row


def carry_gradients(
    model: Cell | Layer,
    params: Params,
    carry: Carry | None,
    xs: Any,
    loss: Callable[[Any], jax.Array],
    *,
    mask: jax.Array | None = None,
    resets: jax.Array | None = None,
    context: Any = None,
    reverse: bool = False,
) -> CarryGradients:
    """The gradient of a loss with respect to the carry at every step, and its norms.

    Vanishing and exploding gradients show in the norms: how they grow or shrink from the last step
    to the first (Hochreiter, 1991; Bengio et al., 1994).

        found = carry_gradients(cell, params, None, xs, lambda ys: jnp.sum(ys[-1] ** 2))
        found.norms.h  # (T, B)

    It is one backward pass, without the gradients of the parameters: a zero is added to each carry,
    and the loss is differentiated with respect to these zeros. A cell runs by the engine that
    `jaxrnn.unroll` would choose for it, so it takes about as long as a training step.

    Args:
      model: a cell, or a layer that can stream. A layer is run one step at a time, which is slower;
        its carry holds the carries of all its parts. Call the function inside `jax.jit` for speed.
      params: from its `init`.
      carry: the carry before the first step; None means the initial carry.
      xs: inputs (T, ..., I).
      loss: ``ys -> value``, a scalar, from the outputs (T, ..., H). What comes after the model,
        such as a readout or a pool over time, belongs to it.
      mask: bool (T, ...), True = a real step, as in `jaxrnn.unroll`. The gradient at a masked step,
        which only holds the carry, is 0.
      resets: bool (T, ...), as in `jaxrnn.unroll`. There, the gradient is with respect to the
        initial carry, and none goes on to the steps before.
      context: as in `jaxrnn.unroll`, for a cell.
      reverse: whether the cell runs from the last step to the first.

    Returns:
      `CarryGradients`. Entry t is with respect to the carry from which step t starts, so it has
      what steps t to T - 1 send back; entry 0 belongs to the carry before the first step. Leaves
      that have no gradient, such as counters, are zeros.

    Raises:
      ValueError, TypeError: an argument does not fit the others, `loss` does not return a scalar,
        or a layer cannot stream.

    References: Pascanu, Mikolov and Bengio, 2013, "On the difficulty of training recurrent neural
    networks".

    Examples:
      >>> cell, xs = jaxrnn.elman(2, use_bias=False), jnp.zeros((4, 3, 1))  # (T, B, I)
      >>> params = jaxrnn.cells.ElmanParams(jnp.zeros((1, 2)), 0.5 * jnp.eye(2), None)
      >>> loss = lambda ys: jnp.sum(ys[2, :, 0])  # of step 2
      >>> found = jaxrnn.diagnostics.carry_gradients(cell, params, None, xs, loss)
      >>> found.norms.h.shape, found.norms.h[:, 0].tolist()
      ((4, 3), [0.125, 0.25, 0.5, 0.0])
    """
    cell = as_cell("carry_gradients", model, params, xs)
    if not callable(loss):
        raise TypeError(f"`loss` must be a function of the outputs, got {describe(loss)}.")
    (xs,) = as_arrays(xs=inputs_of(cell, xs))
    num_steps, x = check_sequence(xs), example(xs)
    if carry is None:
        check_params_of(cell, params, x)
        carry = cell.init_carry(params, jax.tree.map(zeros_like, x))
    (carry,) = as_arrays(carry=carry)
    zeros = jax.tree.map(lambda leaf: zeros_like(leaf, num_steps), carry)
    options = {"mask": mask, "resets": resets, "context": context, "reverse": reverse}

    def run(leaves):
        inputs = xs, with_floating(zeros, leaves)
        _, ys = unroll(perturbed(cell), params, carry, inputs, **options)
        return _checked(loss(ys))

    value, grads = jax.value_and_grad(run)(floating(zeros))
    carries = with_floating(zeros, grads)
    num_axes = 1 + len(batch_axes(without_noise(x), cell.num_feature_axes))
    return CarryGradients(value, carries, norms_of(carries, num_axes))


def norms_of(tree: Any, num_axes: int) -> Any:
    """The length of each leaf of `tree`, over all axes but the first ones."""

    def norm(leaf):
        if not is_floating(leaf):
            return jnp.zeros(leaf.shape[:num_axes])
        kept = leaf.shape[:num_axes]
        sizes = jnp.abs(leaf).reshape(*kept, math.prod(leaf.shape[num_axes:]))
        largest = jnp.max(sizes, axis=-1, keepdims=True, initial=0)
        scale = jnp.where(largest > 0, largest, jnp.ones_like(largest))  # a square would underflow
        return jnp.linalg.norm(sizes / scale, axis=-1) * scale[..., 0]

    return jax.tree.map(norm, tree)


def _checked(value):
    if jnp.shape(value) != ():
        raise ValueError(
            f"`loss` must return a scalar, got {describe(value)}. Take a sum or a mean over the "
            "steps and rows."
        )
    return value
