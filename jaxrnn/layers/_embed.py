"""Embedding: a table with one vector per symbol."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_params, check_size, describe, example
from jaxrnn._core.drawing import draw
from jaxrnn._core.entry import constructor
from jaxrnn._core.masking import zero_where_masked
from jaxrnn._core.matching import check_no_carry
from jaxrnn._core.ranges import check_known, is_index
from jaxrnn._core.timed import on_features
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
      symbol outside 0 to V - 1 at a real step raises an error or becomes NaN, so that it does not
      go unnoticed.

    Raises:
      ValueError, TypeError: a size is not a positive integer, or the symbols are not integers; or
        a symbol is out of range in a NumPy array or in an array on a CPU, outside `jit`. A traced
        symbol, and one on an accelerator, is not read, because that would stop the program until
        the accelerator is done: it becomes NaN.

    References: Bengio, Ducharme, Vincent and Jauvin, 2003, "A neural probabilistic language model".

    Examples:
      >>> layer = jaxrnn.embed(100, 8)
      >>> symbols = jnp.array([[3], [7], [3]])  # (T, B)
      >>> params = layer.init(jax.random.key(0), symbols)
      >>> _, ys = layer.apply(params, None, symbols)
      >>> ys.shape, bool((ys[0] == ys[2]).all()), bool((ys[0] == params.embedding[3]).all())
      ((3, 1, 8), True, True)
    """
    check_size("vocabulary_size", vocabulary_size)
    check_size("features", features)

    def init(key, xs):
        check_symbols(example(xs))
        shape = vocabulary_size, features
        return EmbedParams(draw("embedding", embedding_init, key, shape, jnp.dtype(dtype)))

    def init_carry(params, xs):
        return ()

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        _check_table(params, vocabulary_size, features)
        check_symbols(example(xs))
        check_no_carry(carry)
        check_known("xs", xs, mask, 0, vocabulary_size - 1, cause=_CAUSE)
        is_symbol = is_index(xs, vocabulary_size)
        outside = params.embedding.shape[0]  # a negative index would count from the end
        rows = jnp.where(is_symbol, jnp.asarray(xs).astype(jnp.int32), outside)
        rows = zero_where_masked(mask, rows)
        ys = params.embedding.at[rows].get(mode="fill", fill_value=jnp.nan)
        return (), zero_where_masked(mask, ys)

    return on_features(Layer(init, init_carry, apply))


def _check_table(params, rows, features):
    """Raises unless the table has these features and rows, or more; its dtype may be any."""
    check_params(params, EmbedParams)
    shape = getattr(params.embedding, "shape", None)
    if shape is None or len(shape) != 2 or shape[0] < rows or shape[1] != features:
        raise ValueError(
            f"`params.embedding` must have shape ({rows}, {features}), or more rows, got "
            f"{describe(params.embedding)}. Was it made by the `init` of an embedding of another "
            "size?"
        )


_CAUSE = (
    "Does `vocabulary_size` match the vocabulary that the symbols come from? For padding, pass a "
    "`mask`."
)


def check_symbols(x: Any) -> None:
    """Raises unless `x` is an array of integers."""
    if not hasattr(x, "dtype") or not jnp.issubdtype(x.dtype, jnp.integer):
        raise TypeError(
            f"`xs` must be integers, one per symbol, got {describe(x)} per step. For vectors, use "
            "`jaxrnn.dense`."
        )
