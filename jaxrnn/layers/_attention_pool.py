"""Attention pooling over time."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_features, check_key, check_size, example
from jaxrnn._core.construction import recorded
from jaxrnn._core.drawing import draw
from jaxrnn._core.masking import select, zero_where_masked
from jaxrnn._core.matching import check_drawn
from jaxrnn._core.memo import shape_of
from jaxrnn._core.mesh import on_any_mesh
from jaxrnn._core.numerics import affine, matmul
from jaxrnn._core.shardings import like_rows
from jaxrnn.initializers import Initializer, glorot_uniform, in_float32
from jaxrnn.layers._pool import Pool
from jaxrnn.layers._pooling import padded, sum_over_time


class AttentionPoolParams(NamedTuple):
    kernel: jax.Array  # (H, A)
    bias: jax.Array  # (A,)
    query: jax.Array  # (A,)


@recorded
def attention_pool(
    size: int,
    *,
    kernel_init: Initializer = glorot_uniform(),
    bias_init: Initializer = jax.nn.initializers.zeros,
    query_init: Initializer = in_float32(jax.nn.initializers.normal(0.1)),
) -> Pool:
    """Attention pooling: a weighted mean over the real steps, with learned weights.

        s_t = q · tanh(W x_t + b)
        y = Σ_t softmax(s)_t x_t

    Args:
      size: A, the size of the space in which steps are compared with the query q.
      kernel_init: draws `kernel` (H, A).
      bias_init: draws `bias` (A,).
      query_init: draws `query` (A,).

    Returns:
      A `Pool` with parameters `AttentionPoolParams`: (T, ..., H) -> (..., H), summed in at least
      float32. Padding is never read; a sequence without any real step gives zeros.

    Raises:
      ValueError, TypeError: `size` is not a positive integer.

    References: Yang et al., 2016, "Hierarchical attention networks for document classification".

    Examples:
      >>> pool = jaxrnn.attention_pool(16)
      >>> ys = jnp.ones((5, 2, 8))  # (T, B, H)
      >>> params = pool.init(jax.random.key(0), ys)
      >>> pooled = pool.apply(params, ys, jaxrnn.length_mask(jnp.array([5, 0]), 5))
      >>> pooled.shape, pooled[1].sum().tolist()  # the second sequence is empty
      ((2, 8), 0.0)
      >>> jaxrnn.stack(jaxrnn.rnn(jaxrnn.lstm(8)), pool, jaxrnn.dense(3))  # a classifier
      stack(rnn(lstm(8)), attention_pool(16), dense(3))
    """
    check_size("size", size)

    def init(key, xs):
        check_key(key)
        x = example(xs)
        check_features(x)
        kernel_key, bias_key, query_key = jax.random.split(key, 3)
        return AttentionPoolParams(
            draw("kernel", kernel_init, kernel_key, (x.shape[-1], size), x.dtype),
            draw("bias", bias_init, bias_key, (size,), x.dtype),
            draw("query", query_init, query_key, (size,), x.dtype),
        )

    @on_any_mesh(like_rows)
    def apply(params, xs, mask=None):
        check_features(example(xs))
        check_drawn(params, init, shape_of(xs), f"attention_pool({size})")
        xs, mask = padded(xs, mask)
        xs = zero_where_masked(mask, xs)
        hidden = jnp.tanh(affine(xs, params.kernel, params.bias)).astype(xs.dtype)
        scores = matmul(hidden, params.query[:, None])
        # The lowest finite score, so that a sequence without real steps attends evenly to zeros.
        scores = select(mask, scores, jnp.full_like(scores, jnp.finfo(scores.dtype).min))
        weights = jax.nn.softmax(scores, axis=0)
        return sum_over_time(weights * xs.astype(weights.dtype)).astype(xs.dtype)

    return Pool(init, apply)
