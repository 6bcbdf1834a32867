"""Embedding: a table with one vector per symbol."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_params, check_size, describe, example
from jaxrnn._core.entry import constructor
from jaxrnn._core.masking import zero_where_masked
from jaxrnn._core.types import Layer
from jaxrnn.initializers import Initializer, in_float32


class EmbedParams(NamedTuple):
    embedding: jax.Array  # (V, F)


@constructor
def embed(
    vocabulary_size: int,
    features: int,
    *,
    dtype: Any = jnp.float32,
    embedding_init: Initializer = in_float32(jax.nn.initializers.normal(1.0)),
) -> Layer:
    """Embedding: symbol k becomes row k of the table `embedding`.

    Args:
      vocabulary_size: V; symbols are 0 to V - 1.
      features: F.
      dtype: the dtype of the table, and so of the layers after it.
      embedding_init: draws `embedding` (V, F).

    Returns:
      A `Layer` with parameters `EmbedParams` and no carry, (): integers (T, ...) -> (T, ..., F). A
      symbol outside 0 to V - 1 becomes NaN, so that it does not go unnoticed.

    Raises:
      ValueError, TypeError: a size is not a positive integer, or the symbols are not integers.
    """
    check_size("vocabulary_size", vocabulary_size)
    check_size("features", features)

    def init(key, xs):
        check_symbols(example(xs))
        return EmbedParams(embedding_init(key, (vocabulary_size, features), jnp.dtype(dtype)))

    def init_carry(params, xs):
        return ()

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        check_params(params, EmbedParams)
        check_symbols(example(xs))
        symbols = jnp.asarray(zero_where_masked(mask, xs))
        # A negative index would count from the end of the table.
        outside = jnp.where(symbols < 0, vocabulary_size, symbols.astype(jnp.int32))
        ys = params.embedding.at[outside].get(mode="fill", fill_value=jnp.nan)
        return (), zero_where_masked(mask, ys)

    return Layer(init, init_carry, apply)


def check_symbols(x: Any) -> None:
    """Raises unless `x` holds integers."""
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise TypeError(
            f"`xs` must be integers, one per symbol, got {describe(x)} per step. For vectors, use "
            "`jaxrnn.dense`."
        )
