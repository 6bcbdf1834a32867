"""Stops training at the first NaN, and says where it came from."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxrnn._core.checks import check_sequence, describe
from jaxrnn._core.flags import check_flags
from jaxrnn._core.timed import inputs_of
from jaxrnn._core.types import Cell, Layer, Params
from jaxrnn.diagnostics._findings import Finding
from jaxrnn.diagnostics._health import HealthState
from jaxrnn.diagnostics._not_finite import loss_through, not_finite
from jaxrnn.diagnostics._parts import recurrent_parts


def check_health(
    state: Any,
    model: Cell | Layer,
    params: Params,
    xs: Any,
    loss: Callable[[Any], jax.Array],
    *,
    mask: jax.Array | None = None,
) -> None:
    """Stops a training loop at the first update that is not finite, and says where that came from.

        for batch in batches:
            params, state = train_step(params, state, batch)
            check_health(state, model, params, batch.xs, lambda ys: loss_of(ys, batch.labels))

    The error names the number of the update, the first step of the sequence and the leaf of the
    inputs, carry or outputs that is not finite, and the layer; or else the loss, or the step at
    which its gradient stops being finite. `record_health` does not make such an update, so
    parameters are still those that it came from.

    While all is well it reads one number of `state`, for which it waits: on an accelerator, call it
    every hundred updates or so. By then, `xs` may not be those that gave NaN, and it may find only
    which parameters had a gradient that was not finite.

    Args:
      state: an optimizer state from `record_health`, or one that holds it, as that of
        ``optax.chain`` does.
      model: a cell or a layer, as for `diagnose`. It is run without random numbers.
      params: from its `init`.
      xs: the inputs (T, ..., I) of the last update.
      loss: ``ys -> value``, a scalar, from the outputs of the model.
      mask: bool (T, ...), True = a real step.

    Raises:
      FloatingPointError: an update was not finite.
      ValueError, TypeError: `state` holds no `HealthState`, or an argument does not fit the others.

    References: Pascanu, Mikolov and Bengio, 2013, "On the difficulty of training recurrent neural
    networks", for gradients that explode.

    Examples:
      >>> import jax, jax.numpy as jnp, jaxrnn, optax
      >>> xs = jnp.ones((20, 3, 4)).at[7].set(jnp.nan)
      >>> model = jaxrnn.rnn(jaxrnn.gru(8))
      >>> params = model.init(jax.random.key(0), xs)
      >>> optimizer = jaxrnn.diagnostics.record_health(optax.sgd(0.1))
      >>> grads = jax.grad(lambda p: jnp.mean(model.apply(p, None, xs)[1]))(params)
      >>> updates, state = optimizer.update(grads, optimizer.init(params), params)
      >>> jaxrnn.diagnostics.check_health(state, model, params, xs, jnp.mean)
      Traceback (most recent call last):
        ...
      FloatingPointError: update 0 was not finite, and not made.
      not finite: rnn(gru(8))
        `xs` is not finite at step 7
        try: look for missing values in the data, and mask them
    """
    health = _health_in(state)
    if not callable(loss):
        raise TypeError(f"`loss` must be a function of the outputs, got {describe(loss)}.")
    check_sequence(xs)
    check_flags("mask", mask, xs)
    if int(health.num_nonfinite) == 0:
        return
    found = _search(model, params, xs, loss, mask)
    raise FloatingPointError(
        f"update {int(health.first_nonfinite)} was not finite, and not made.\n"
        f"{_without(health) if found is None else found}"
    )


def _health_in(state):
    nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, HealthState))
    for node in nodes:
        if isinstance(node, HealthState):
            return node
    raise ValueError(
        f"`state` holds no HealthState, got {describe(state)}. Wrap the optimizer in "
        "`jaxrnn.diagnostics.record_health`, and pass the state that its `update` returns."
    )


def _search(model, params, xs, loss, mask) -> Finding | None:
    parts, _ = recurrent_parts(model, params, xs, mask)
    for part in parts:
        inputs = inputs_of(part.cell, part.before(xs))
        found = not_finite(part, inputs) or loss_through(part, xs, inputs, loss)[1]
        if found is not None:
            return found
    return None


def _without(health):
    """What the optimizer saw, where the inputs no longer show it."""
    leaves = jax.tree_util.tree_leaves_with_path(health.gradient_norms)
    bad = [jax.tree_util.keystr(path) for path, x in leaves if not np.isfinite(x)]
    seen = f" The last gradient was not finite in {', '.join(bad)}." if bad else ""
    return (
        "With these inputs and no random numbers, the carries, the loss and its gradients are "
        f"finite.{seen}"
    )
