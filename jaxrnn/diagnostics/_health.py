"""Training health: what an optimizer sees, recorded in its state."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_positive, describe
from jaxrnn._core.numerics import sum_dtype


class HealthState(NamedTuple):
    """The state of an optimizer from `record_health`, with what its last update saw."""

    inner: Any  # the state of the optimizer
    count: jax.Array  # int32 (), updates so far
    gradient_norm: jax.Array  # float32 (), of all gradients, before clipping
    gradient_norms: Any  # float32 () for each parameter array
    update_ratios: Any  # float32 () for each parameter array: |update| / |parameters|
    num_clipped: jax.Array  # int32 (), updates whose gradient was clipped
    num_nonfinite: jax.Array  # int32 (), updates that held NaN or infinity, and were not made
    first_nonfinite: jax.Array  # int32 (), the number of the first of them, from 0; or -1

    @property
    def clip_rate(self) -> jax.Array:
        """The share of updates whose gradient was clipped, float32 ()."""
        return self.num_clipped.astype(jnp.float32) / jnp.maximum(self.count, 1).astype(jnp.float32)


def record_health(optimizer: Any, *, max_norm: float | None = None) -> Any:
    """An optax optimizer that records gradient norms, clipping and the size of its updates.

        optimizer = record_health(optax.adam(1e-3), max_norm=1.0)
        opt_state = optimizer.init(params)
        ...
        updates, opt_state = optimizer.update(grads, opt_state, params)
        opt_state.gradient_norm, opt_state.clip_rate, opt_state.update_ratios

    An update that holds NaN or infinity is not made: it is 0, and the state of `optimizer` stays as
    it was, so that `check_health` can find where that came from, with the parameters that made it.

    Healthy update ratios are around 1e-3. A `clip_rate` near 1 means that clipping sets the
    learning rate, and a `gradient_norm` that jumps means exploding gradients.

    Args:
      optimizer: an `optax.GradientTransformation`.
      max_norm: the largest global norm of the gradients, above 0: larger ones are scaled down to
        it, as by `optax.clip_by_global_norm`. None means no clipping.

    Returns:
      A transformation of the type of `optimizer`, whose state is a `HealthState` with the state of
      `optimizer` in it. Its `update` needs the parameters.

    Raises:
      ValueError, TypeError: `optimizer` has no `init` and `update`, `max_norm` is not a number
        above 0, or `update` is not given the parameters.

    References: Pascanu, Mikolov and Bengio, 2013, "On the difficulty of training recurrent neural
    networks", for clipping the norm.

    Examples:
      >>> optimizer = jaxrnn.diagnostics.record_health(optax.sgd(0.1), max_norm=1.0)
      >>> params, grads = jnp.ones(4), jnp.full(4, 3.0)
      >>> updates, state = optimizer.update(grads, optimizer.init(params), params)
      >>> float(state.gradient_norm), float(state.clip_rate)  # before clipping
      (6.0, 1.0)
    """
    if not all(hasattr(optimizer, name) for name in ("init", "update", "_replace")):
        raise TypeError(
            f"`optimizer` must be an optax.GradientTransformation, got {describe(optimizer)}."
        )
    if max_norm is not None:
        max_norm = check_positive("max_norm", max_norm)

    def init(params):
        zero, none = jnp.zeros((), jnp.float32), jnp.zeros((), jnp.int32)
        zeros = jax.tree.map(lambda leaf: zero, params)
        return HealthState(optimizer.init(params), none, zero, zeros, zeros, none, none, none - 1)

    def update(grads, state, params=None, **extra):
        if params is None:
            raise ValueError(
                "`params` must be given to `update`: the size of updates is relative to them."
            )
        norms = jax.tree.map(_norm, grads)
        norm = _norm_of_all(norms)
        is_clipped = jnp.zeros((), bool)
        if max_norm is not None:
            is_clipped = (norm > max_norm) & jnp.isfinite(norm)
            factor = max_norm / jnp.where(is_clipped, norm, max_norm)
            grads = jax.tree.map(lambda g: (g * factor.astype(g.dtype)).astype(g.dtype), grads)
        updates, inner = optimizer.update(grads, state.inner, params, **extra)
        is_finite = jnp.isfinite(norm) & jnp.isfinite(_norm_of_all(jax.tree.map(_norm, updates)))
        updates = jax.tree.map(lambda u: jnp.where(is_finite, u, jnp.zeros_like(u)), updates)
        inner = jax.tree.map(functools.partial(jnp.where, is_finite), inner, state.inner)
        is_first = ~is_finite & (state.num_nonfinite == 0)
        state = HealthState(
            inner,
            state.count + 1,
            norm,
            norms,
            jax.tree.map(_ratio, updates, params),
            state.num_clipped + is_clipped.astype(jnp.int32),
            state.num_nonfinite + (~is_finite).astype(jnp.int32),
            jnp.where(is_first, state.count, state.first_nonfinite),
        )
        return updates, state

    return optimizer._replace(init=init, update=update)


def _norm(leaf):
    wide = jnp.abs(leaf)
    return jnp.linalg.norm(wide.astype(sum_dtype(wide.dtype)).reshape(-1)).astype(jnp.float32)


def _norm_of_all(norms):
    return jnp.linalg.norm(jnp.stack(jax.tree.leaves(norms)))


def _ratio(update, leaf):
    size = _norm(leaf)
    return _norm(update) / jnp.where(size > 0, size, jnp.ones_like(size))
