"""Scheduled sampling: from teacher forcing to free running, while a decoder is trained."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import check_key, check_sequence
from jaxrnn._core.flags import check_flags
from jaxrnn._core.loop import Loop, scan, varying_like
from jaxrnn._core.masking import select, zero_where_masked
from jaxrnn._core.mesh import with_auto_axes
from jaxrnn._core.noise import batch_axes
from jaxrnn._core.ranges import known
from jaxrnn._core.shardings import like_sequence
from jaxrnn._core.types import Carry, Layer, Params
from jaxrnn.decode._checks import (
    check_decoder,
    check_drawn,
    check_number,
    check_steps,
    keys_of_rows,
)
from jaxrnn.decode._feeding import Choices, as_int32, as_one_program, feed, over_rows
from jaxrnn.decode._samplers import greedy


def scheduled_sampling(
    model: Layer,
    params: Params,
    carry: Carry | None,
    xs: jax.Array,
    key: jax.Array | None,
    rate: float | jax.Array,
    *,
    sample: Callable[[jax.Array | None, Any], jax.Array] = greedy,
    mask: jax.Array | None = None,
    context: Any = None,
    num_feature_axes: int = 1,
    layer_key: jax.Array | None = None,
) -> tuple[Carry, Any]:
    """Runs a decoder on given inputs, each replaced by the decoder's own output at a given rate.

        x_t = given x_t, or, with probability `rate`, sample(y_{t-1})

    A rate of 0 is teacher forcing, as by ``model.apply``, which runs all steps at once and is much
    faster. A rate of 1 is free running. In between, raise the rate while training, so that the
    decoder learns to go on from its own mistakes. The first input of a row is always the given one.
    A sequence is one call: the output before the first step of another is not known to it.

    Args:
      model: a layer from (T, ...) to (T, ..., K).
      params: from ``model.init``.
      carry: before the first step; None means the initial carry.
      xs: the given inputs, symbols (T, ...) or vectors (T, ..., I).
      key: a random key, which is split over the rows, or one key for each row. None if the rate is
        0 or 1 and `sample` draws nothing.
      rate: in [0, 1], one number, or one for each step (T,). It may be traced.
      sample: ``(key, y (K,)) -> x``, an input made of an output: `greedy` or `categorical` for
        logits, or a function such as ``lambda key, y: y``. The gradient flows through it if it has
        one.
      mask: bool (T, ...), True = a real step.
      context: as in `jaxrnn.unroll`.
      num_feature_axes: how many axes one input has, as of a `jaxrnn.Cell`: 3 for pictures.
      layer_key: the key of ``model.apply``, for layers that draw random numbers, such as dropout.

    Returns:
      The carry after the last step and the outputs ys, (T, ..., K), as ``model.apply`` does.

    Raises:
      ValueError, TypeError: an argument does not fit, `sample` does not return an input, or `model`
        reads from the end.

    References: Bengio, Vinyals, Jaitly and Shazeer, 2015, "Scheduled sampling for sequence
    prediction with recurrent neural networks".

    Examples:
      >>> model, xs = jaxrnn.embed(5, 5), jnp.zeros(4, int)  # logits by the last symbol
      >>> params = jaxrnn.layers.EmbedParams(jnp.roll(jnp.eye(5), 1, axis=1))  # n + 1 follows n
      >>> for rate in (0.0, 1.0):  # teacher forcing, and free running
      ...     _, ys = jaxrnn.decode.scheduled_sampling(model, params, None, xs, None, rate)
      ...     print(ys.argmax(-1).tolist())
      [1, 1, 1, 1]
      [1, 2, 3, 4]
    """
    check_decoder(model)
    num_steps = check_sequence(xs)
    check_flags("mask", mask, xs)
    _check_rate(rate, num_steps, key)
    batch = batch_axes(xs, num_feature_axes)[1:]
    keys = keys_of_rows(key, batch)
    check_drawn(sample, keys, check_steps(model, params, xs), xs, len(batch))
    if layer_key is not None:
        check_key(layer_key, "layer_key")
    names = "params", "carry", "xs", "key", "rate", "mask", "context", "layer_key"
    given = params, carry, xs, keys, rate, mask, context, layer_key

    def run(arguments):
        choices = Choices(sample, num_steps, None, len(batch))
        return _loop(model, choices, *arguments.values())

    return with_auto_axes(run, dict(zip(names, given, strict=True)), like_sequence)


@as_one_program
def _loop(model, choices, params, carry, xs, keys, rate, mask, context, layer_key):
    num_axes = choices.num_axes
    if jnp.issubdtype(xs.dtype, jnp.integer):  # a narrow dtype may not hold what is drawn
        xs = as_int32(xs)
    xs = zero_where_masked(mask, xs)
    carry, none = model.apply(params, carry, xs[:0], context=context, key=layer_key)
    y = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[1:], leaf.dtype), none)
    begun = jnp.zeros(xs.shape[1 : 1 + num_axes], bool)

    def choose(step, rate, key, x, y, begun):
        """The input of one row."""
        if key is None:
            is_own, own_key = rate >= 1, None
        else:
            coin, own_key = jax.random.split(jax.random.fold_in(key, step))
            is_own = jax.random.uniform(coin, (), jnp.float32) < rate
        own = choices.sample(own_key, y).astype(x.dtype)
        return jnp.where(is_own & begun, own, x)

    def advance(state, inputs):
        carry, y, begun = state
        step, rate, x, is_real = inputs
        x = over_rows(functools.partial(choose, step, rate), num_axes)(keys, x, y, begun)
        carry, new = feed(model, params, carry, x, is_real, context, layer_key)
        kept = new if is_real is None else select(is_real, new, y)
        begun = jnp.ones_like(begun) if is_real is None else begun | is_real
        return (carry, kept, begun), new

    steps = jnp.arange(choices.length, dtype=jnp.int32)
    rates = jnp.broadcast_to(jnp.asarray(rate, jnp.float32), steps.shape)
    start = varying_like((params, xs, keys, rate, mask, context, layer_key), (carry, y, begun))
    loop = Loop(choices.length, reverse=False)
    (carry, _, _), ys = scan(loop, advance, start, (steps, rates, xs, mask))
    return carry, ys


def _check_rate(rate: Any, num_steps: int, key: Any) -> None:
    """Raises unless `rate` is in [0, 1], one or one for each step, and known to need no key."""
    if np.ndim(rate) == 0:
        check_number("rate", rate, lambda x: 0 <= x <= 1, "a number in [0, 1], or one a step")
    elif np.shape(rate) != (num_steps,):
        raise ValueError(
            f"`rate` must be one number or one for each of the {num_steps} steps, got shape "
            f"{np.shape(rate)}."
        )
    values = known(rate if hasattr(rate, "dtype") else np.asarray(rate))
    if values is not None and not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"`rate` must be in [0, 1], got values up to {values.max()}.")
    if key is None and (values is None or not np.isin(values, (0, 1)).all()):
        raise ValueError(
            "`key` is None, and a rate between 0 and 1 draws random numbers. Pass "
            "`jax.random.key(seed)`."
        )
