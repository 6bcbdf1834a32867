"""Early stopping: keeping the best parameters, and ending when they get no better."""

import functools
import math
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_size, describe
from jaxrnn._core.matching import check_carry


class EarlyStoppingState(NamedTuple):
    """The best result of a run so far, a pytree of arrays that a checkpoint can hold."""

    score: jax.Array  # (), the best score; infinite before the first
    params: Any  # the parameters with this score
    waited: jax.Array  # int32 (), the number of scores since then


class EarlyStopping(NamedTuple):
    """Three pure functions, which also run in `jax.jit` and `jax.vmap`."""

    init: Callable[[Any], EarlyStoppingState]  # params -> state
    update: Callable[[EarlyStoppingState, Any, Any], EarlyStoppingState]  # state, score, params
    should_stop: Callable[[EarlyStoppingState], jax.Array]  # state -> bool ()


def early_stopping(patience: int, *, min_delta: float = 0.0, mode: str = "min") -> EarlyStopping:
    """Early stopping on a held-out score. Keeps the parameters with the best score.

        stopping = early_stopping(patience=3)
        state = stopping.init(params)
        for epoch in range(100):
            params = ...
            state = stopping.update(state, score, params)
            if stopping.should_stop(state):
                break
        params = state.params

    Scores are compared in the default float dtype, so a state that was saved and restored goes on
    as if it had not been. NaN is never the best. The parameters are copied, so a training step may
    donate its own. Before the first score that is a number, the state has the parameters of `init`.

    Args:
      patience: stop after this many scores in a row that are not better than the best.
      min_delta: a score must be better than the best by more than this.
      mode: "min" if a smaller score is better, as for a loss; "max" for an accuracy.

    Returns:
      `EarlyStopping`, the functions `init`, `update` and `should_stop`.

    Raises:
      ValueError, TypeError: `patience` is not a positive integer, `min_delta` is not a finite
        number of 0 or more, or `mode` is neither "min" nor "max". `update` raises if the score is
        not one real number, or `params` are unlike those of `init`.

    References: Prechelt, 1998, "Early stopping - but when?".

    Examples:
      >>> stopping = jaxrnn.training.early_stopping(patience=2, mode="max")
      >>> state = stopping.init({"step": jnp.array(0)})
      >>> for step, accuracy in enumerate([0.5, 0.75, 0.6, 0.7]):
      ...     state = stopping.update(state, accuracy, {"step": jnp.array(step)})
      >>> bool(stopping.should_stop(state)), float(state.score), int(state.params["step"])
      (True, 0.75, 1)
    """
    check_size("patience", patience)
    _check_min_delta(min_delta)
    if mode not in ("min", "max"):
        raise ValueError(f'`mode` must be "min" or "max", got {mode!r}.')
    worst = math.inf if mode == "min" else -math.inf

    def init(params):
        score = jnp.asarray(worst, jnp.result_type(float))
        return EarlyStoppingState(score, jax.tree.map(jnp.array, params), jnp.int32(0))

    def update(state, score, params):
        score = _as_scalar(score, state.score.dtype)
        check_carry(params, state.params, name="params", cause=_CAUSE)
        is_better = (
            score < state.score - min_delta if mode == "min" else score > state.score + min_delta
        )
        keep = functools.partial(jax.lax.select, is_better)
        best, params = jax.tree.map(keep, (score, params), (state.score, state.params))
        return EarlyStoppingState(best, params, keep(jnp.int32(0), state.waited + 1))

    def should_stop(state):
        return state.waited >= patience

    return EarlyStopping(init, update, should_stop)


_CAUSE = "The arguments are `(state, score, params)`, with parameters like those given to `init`."


def _check_min_delta(value):
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"`min_delta` must be a number of 0 or more, got {describe(value)}.")
    if not 0 <= value < math.inf:
        raise ValueError(f"`min_delta` must be a finite number of 0 or more, got {value}.")


def _as_scalar(score, dtype):
    """`score` in the dtype of the scores; raises unless it is one real number."""
    is_real = isinstance(score, numbers.Real) and not isinstance(score, bool)
    if hasattr(score, "shape") and hasattr(score, "dtype"):
        kinds = jnp.floating, jnp.integer
        is_real = score.shape == () and any(jnp.issubdtype(score.dtype, kind) for kind in kinds)
    if not is_real:
        raise TypeError(f"`score` must be one real number, got {describe(score)}.")
    return jnp.asarray(score).astype(dtype)
