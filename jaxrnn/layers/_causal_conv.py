"""A convolution over time that sees only the past."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import (
    check_bool,
    check_features,
    check_params,
    check_size,
    example,
)
from jaxrnn._core.compaction import compacted
from jaxrnn._core.drawing import draw
from jaxrnn._core.entry import constructor
from jaxrnn._core.flags import check_mask_and_resets
from jaxrnn._core.masking import over_batch, zero_where_masked
from jaxrnn._core.matching import check_carry, check_drawn
from jaxrnn._core.memo import shape_of
from jaxrnn._core.numerics import add_bias, affine, over_rows, sum_dtype
from jaxrnn._core.timed import on_features
from jaxrnn._core.types import Layer
from jaxrnn.initializers import Initializer, in_float32


class CausalConvParams(NamedTuple):
    kernel: jax.Array  # (K, I, F), or (K, I) with one filter for each feature; the last K is now
    bias: jax.Array | None  # (F,); None without a bias


class CausalConvCarry(NamedTuple):
    inputs: jax.Array  # (..., K - 1, I), the last real ones; zeros before the first


@constructor
def causal_conv(
    features: int | None,
    window: int,
    *,
    kernel_init: Initializer = in_float32(jax.nn.initializers.lecun_normal()),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Layer:
    """Convolution over time of each step and those before it.

        y_t = W_K x_t + W_{K-1} x_{t-1} + ... + W_1 x_{t-K+1} + b

    Before the first step there are zeros. A masked step is skipped as if it were not there, and a
    reset forgets all steps before it, so that chunks, packed rows and single steps give what whole
    sequences give.

    Args:
      features: F; or None for a depthwise convolution, in which each feature has a filter of its
        own and F = I.
      window: K, the number of steps that it sees.
      kernel_init: draws `kernel` (K, I, F), or (K, I) if it is depthwise.
      bias_init: draws `bias` (F,).
      use_bias: whether there is a bias; without one, `bias` is None.

    Returns:
      A `Layer` with parameters `CausalConvParams` and carry `CausalConvCarry`, the last K - 1
      inputs: (T, ..., I) -> (T, ..., F), in the dtype of its input.

    Raises:
      ValueError, TypeError: `features` is not a positive integer or None, `window` is not a
        positive integer, or `use_bias` is not a bool.

    References: van den Oord et al., 2016, "WaveNet: a generative model for raw audio".

    Examples:
      >>> layer = jaxrnn.causal_conv(None, 2, use_bias=False)  # a filter of two steps
      >>> params = jaxrnn.layers.CausalConvParams(jnp.ones((2, 1)), None)  # their sum
      >>> carry, ys = layer.apply(params, None, jnp.array([[1.0], [2.0], [3.0]]))
      >>> ys.ravel().tolist(), carry.inputs.tolist()
      ([1.0, 3.0, 5.0], [[3.0]])
      >>> layer.apply(params, carry, jnp.array([[4.0]]))[1].tolist()  # the next chunk
      [[7.0]]
    """
    if features is not None:
        check_size("features", features)
    check_size("window", window)
    check_bool("use_bias", use_bias)

    def init(key, xs):
        x = example(xs)
        check_features(x)
        size = x.shape[-1]
        shape = (window, size) if features is None else (window, size, features)
        kernel_key, bias_key = jax.random.split(key)
        return CausalConvParams(
            draw("kernel", kernel_init, kernel_key, shape, x.dtype),
            draw("bias", bias_init if use_bias else None, bias_key, shape[-1:], x.dtype),
        )

    def init_carry(params, xs):
        check_params(params, CausalConvParams)
        x = example(xs)
        check_features(x)
        *batch, size = x.shape
        return CausalConvCarry(jnp.zeros((*batch, window - 1, size), params.kernel.dtype))

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        check_features(example(xs))
        check_drawn(params, init, shape_of(xs), f"causal_conv({features}, {window})")
        initial = init_carry(params, xs)
        check_mask_and_resets(mask, resets, initial)
        carry = initial if carry is None else carry
        check_carry(carry, initial, cause="Is it the carry of another layer or batch?")
        before = jnp.moveaxis(carry.inputs, -2, 0)
        run = _convolve if mask is None and resets is None else _convolve_real_steps
        last, ys = run(params, before, jnp.asarray(xs), mask, resets)
        ys = zero_where_masked(mask, ys.astype(params.kernel.dtype))
        return CausalConvCarry(jnp.moveaxis(last, 0, -2)), ys

    return on_features(Layer(init, init_carry, apply))


def _convolve(params, before, xs, mask, resets):
    """The last K - 1 inputs and the sums, where every step is real and none a reset."""
    inputs = jnp.concatenate([before, xs])
    ys = sum(_terms(params, inputs, xs.shape[0]))  # which may be open, where len(xs) may not
    return inputs[xs.shape[0] :], ys


def _convolve_real_steps(params, before, xs, mask, resets):
    """The same for any mask and resets: over the real steps of each row, moved together."""
    steps = xs.shape[:-1]
    real, starts = over_batch(mask, steps, True), over_batch(resets, steps, False)
    rows = zero_where_masked(mask, xs), starts & real
    xs, starts = rows if mask is None else compacted(rows, real)[0]
    inputs = jnp.concatenate([before, xs])
    # Steps see those with as many resets before them; what the carry holds has none.
    episodes = jnp.cumsum(starts, axis=0, dtype=jnp.int32)
    episodes = jnp.concatenate([jnp.zeros(before.shape[:-1], jnp.int32), episodes])
    ys = sum(_terms(params, inputs, xs.shape[0], episodes))
    if mask is not None:
        places = jnp.maximum(jnp.cumsum(real, axis=0, dtype=jnp.int32) - 1, 0)
        ys = jnp.take_along_axis(ys, places[..., None], axis=0)
    ends = jnp.sum(real, axis=0, dtype=jnp.int32)[None] + _column(len(before), real.ndim)
    is_kept = jnp.take_along_axis(episodes, ends, axis=0) == jnp.max(episodes, 0, initial=0)[None]
    last = jnp.take_along_axis(inputs, ends[..., None], axis=0)
    return zero_where_masked(is_kept, last), ys


def _terms(params, inputs, num_steps, episodes=None):
    """W_k x for each k, the oldest first: a few products, which run fast on every device."""
    now = len(params.kernel) - 1
    for k, weights in enumerate(params.kernel):
        bias = params.bias if k == now else None
        x = inputs[k : k + num_steps]
        if episodes is not None:
            x = zero_where_masked(episodes[k : k + num_steps] == episodes[now:], x)
        if weights.ndim == 2:
            yield affine(x, weights, bias)
        else:
            x = x.astype(sum_dtype(x.dtype))
            yield add_bias(over_rows(weights, x) * x, bias)


def _column(length, ndim):
    return jnp.arange(length, dtype=jnp.int32).reshape(length, *(1,) * (ndim - 1))
