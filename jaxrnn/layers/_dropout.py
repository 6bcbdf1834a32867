"""Dropout between layers: at each step, or with one mask per sequence."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import (
    check_features,
    check_rate,
    example,
)
from jaxrnn._core.entry import constructor
from jaxrnn._core.flags import check_mask_and_resets
from jaxrnn._core.masking import zero_where_masked
from jaxrnn._core.matching import check_carry, check_no_carry
from jaxrnn._core.noise import count_steps, drop, for_each_step, is_zero, keep
from jaxrnn._core.sharing import check_shared_axes, shared_shape
from jaxrnn._core.timed import on_features
from jaxrnn._core.types import Layer


class DropoutCarry(NamedTuple):
    position: jax.Array  # (...), int32: the number of steps so far in each sequence


@constructor
def dropout(rate: float, *, shared_axes: tuple[int, ...] = ()) -> Layer:
    """Dropout: sets features to zero with probability `rate`, and divides others by ``1 - rate``.

    The draw for a feature depends only on the key, the position in the batch, and the number of
    steps since the row started or was reset. So it is the same in one call and in chunks, with
    padding and without, and for all segments that are packed into a row. Passing `key` enables
    dropout; without one the layer is deterministic.

    Args:
      rate: the probability, in [0, 1).
      shared_axes: the axes of a step over which one draw is shared, counted from the last, -1:
        ``(-3, -2)`` drops whole channels of pictures (..., height, width, channels).

    Returns:
      A `Layer` without parameters, (), and with carry `DropoutCarry`: (T, ..., I) -> (T, ..., I).

    Raises:
      ValueError, TypeError: `rate` is not in [0, 1), or `shared_axes` are not axes of a step.

    References: Srivastava et al., 2014, "Dropout: a simple way to prevent neural networks from
    overfitting"; of whole channels: Tompson et al., 2015, "Efficient object localization using
    convolutional networks".

    Examples:
      >>> layer, xs = jaxrnn.dropout(0.5), jnp.ones((5, 2, 20))  # (T, B, I)
      >>> carry, ys = layer.apply((), None, xs, key=jax.random.key(0))
      >>> jnp.unique(ys).tolist(), carry.position.tolist()
      ([0.0, 2.0], [5, 5])
      >>> _, ys = layer.apply((), None, xs)  # without a key
      >>> jnp.unique(ys).tolist()
      [1.0]
    """
    rate = check_rate("rate", rate)
    check_shared_axes(shared_axes)

    def init_carry(params, xs):
        drawn = shared_shape(example(xs).shape, shared_axes)
        return DropoutCarry(jnp.zeros(drawn[:-1], jnp.int32))

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        check_features(example(xs))
        initial = init_carry(params, xs)
        check_mask_and_resets(mask, resets, initial)
        carry = initial if carry is None else carry
        check_carry(carry, initial, cause="Is it the carry of another layer or batch?")
        xs = zero_where_masked(mask, jnp.asarray(xs))
        positions, last = count_steps(carry.position, mask, resets, xs.shape[0])
        if key is not None and not is_zero(rate):

            def at(row_key, position):
                return keep(jax.random.fold_in(row_key, position), rate, drawn[-1:])

            drawn = shared_shape(xs.shape[1:], shared_axes)
            xs = drop(for_each_step(at, key, positions), xs, rate)
        return DropoutCarry(last), xs

    return on_features(Layer(_no_params, init_carry, apply))


@constructor
def variational_dropout(rate: float, *, shared_axes: tuple[int, ...] = ()) -> Layer:
    """Variational dropout: one draw per sequence, so a feature is dropped at all steps or at none.

    The draw depends only on the key and the position in the batch, so it is the same in chunks, and
    for all segments that are packed into a row. Passing `key` enables dropout; without one the
    layer is deterministic.

    Args:
      rate: the probability, in [0, 1).
      shared_axes: the axes of a step over which one draw is shared, as in `jaxrnn.dropout`.

    Returns:
      A `Layer` without parameters or carry, both (): (T, ..., I) -> (T, ..., I).

    Raises:
      ValueError, TypeError: `rate` is not in [0, 1), or `shared_axes` are not axes of a step.

    References: Gal and Ghahramani, 2016, "A theoretically grounded application of dropout in
    recurrent neural networks".

    Examples:
      >>> layer, xs = jaxrnn.variational_dropout(0.5), jnp.ones((5, 2, 20))  # (T, B, I)
      >>> _, ys = layer.apply((), None, xs, key=jax.random.key(0))
      >>> jnp.unique(ys).tolist()
      [0.0, 2.0]
      >>> bool((ys == ys[0]).all())  # the same features at all steps
      True
    """
    rate = check_rate("rate", rate)
    check_shared_axes(shared_axes)

    def init_carry(params, xs):
        return ()

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        check_features(example(xs))
        batch = jax.ShapeDtypeStruct(xs.shape[1:-1], xs.dtype)
        check_mask_and_resets(mask, resets, batch)
        check_no_carry(carry)
        drawn = shared_shape(xs.shape[1:], shared_axes)
        xs = zero_where_masked(mask, jnp.asarray(xs))
        if key is not None and not is_zero(rate):

            def at(row_key, position):
                return keep(row_key, rate, drawn[-1:])

            once = for_each_step(at, key, jnp.zeros((1, *drawn[:-1]), jnp.int32))
            xs = drop(once, xs, rate)
        return (), xs

    return on_features(Layer(_no_params, init_carry, apply))


def _no_params(key, xs):
    check_features(example(xs))
    return ()
