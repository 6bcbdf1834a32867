"""How a symbol is drawn from logits, one sequence at a time: `generate` maps it over a batch."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_size
from jaxrnn._core.construction import recorded
from jaxrnn._core.numerics import sum_dtype
from jaxrnn.decode._checks import check_number

Sampler = Callable[[jax.Array | None, jax.Array], jax.Array]


def greedy(key: jax.Array | None, logits: jax.Array) -> jax.Array:
    """The most likely symbol, and the first of equals. It draws nothing, so `key` may be None.

    Args:
      key: ignored.
      logits: floating (V,).

    Returns:
      A symbol, int32.

    Examples:
      >>> int(jaxrnn.decode.greedy(None, jnp.array([0.0, 5.0, 1.0, 5.0])))
      1
    """
    return jnp.argmax(logits).astype(jnp.int32)


@recorded
def categorical(
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Sampler:
    """Draws a symbol in proportion to its probability, tempered and cut off at the tail.

    The logits are divided by `temperature`, and then each limit removes symbols in turn: all but
    the `top_k` most likely; all beyond the smallest set whose probability is at least `top_p`; all
    less likely than `min_p` times the most likely one. The most likely symbol always stays.

    Args:
      temperature: 0 or more. Below 1 the likely symbols become likelier; 0 is `greedy`. It may be
        traced, as `top_p` and `min_p` may: then one program serves all values.
      top_k: a positive integer. Symbols that equal the k-th stay.
      top_p: in (0, 1]; also called nucleus sampling. Symbols that equal the last stay.
      min_p: in [0, 1].

    Returns:
      ``(key, logits (V,)) -> symbol``, for `generate` and `scheduled_sampling`.

    Raises:
      ValueError, TypeError: a number is out of its range.

    References: Fan, Lewis and Dauphin, 2018, "Hierarchical neural story generation" (top-k);
    Holtzman et al., 2020, "The curious case of neural text degeneration" (top-p); Nguyen et al.,
    2024, "Turning up the heat: min-p sampling for creative and coherent LLM outputs".

    Examples:
      >>> logits = jnp.log(jnp.array([0.5, 0.3, 0.15, 0.05]))  # (V,)
      >>> draw = jaxrnn.decode.categorical(temperature=0.7, top_p=0.75)  # leaves 0 and 1
      >>> keys = jax.random.split(jax.random.key(0), 1000)
      >>> int(jax.vmap(draw, (0, None))(keys, logits).max())
      1
    """
    if top_k is not None:
        check_size("top_k", top_k)
    check_number("temperature", temperature, lambda x: 0 <= x < jnp.inf, "a number of 0 or more")
    if top_p is not None:
        check_number("top_p", top_p, lambda x: 0 < x <= 1, "a number in (0, 1]")
    if min_p is not None:
        check_number("min_p", min_p, lambda x: 0 <= x <= 1, "a number in [0, 1]")

    def sample(key, logits):
        if key is None:
            raise ValueError(
                "`key` is None, and `categorical` draws random numbers. Pass "
                "`jax.random.key(seed)`, or `sample=jaxrnn.decode.greedy`."
            )
        logits = _tempered(logits.astype(sum_dtype(logits.dtype)), temperature)
        if top_k is not None:
            logits = _top_k(logits, top_k)
        if top_p is not None:
            logits = _top_p(logits, top_p)
        if min_p is not None:
            logits = _at_least(logits, jnp.max(logits) + jnp.log(jnp.asarray(min_p, logits.dtype)))
        return jax.random.categorical(key, logits).astype(jnp.int32)

    return sample


def _tempered(logits: jax.Array, temperature: Any) -> jax.Array:
    """The logits divided by the temperature; at 0, -inf but for the most likely symbol."""
    temperature = jnp.asarray(temperature, logits.dtype)
    is_cold = temperature == 0
    best = jnp.max(logits)  # which may be infinite
    tempered = jnp.where(logits == best, 0, logits - best) / jnp.where(is_cold, 1, temperature)
    is_best = jnp.arange(logits.size) == jnp.argmax(logits)
    return jnp.where(is_cold, jnp.where(is_best, 0, -jnp.inf).astype(logits.dtype), tempered)


def _top_k(logits, k):
    return _at_least(logits, jax.lax.top_k(logits, min(k, logits.size))[0][-1])


def _top_p(logits, p):
    falling = jnp.sort(logits, descending=True)
    before = jnp.cumsum(jax.nn.softmax(falling)) - jax.nn.softmax(falling)
    inside = (before < p).at[0].set(True)
    return _at_least(logits, jnp.min(jnp.where(inside, falling, jnp.inf)))


def _at_least(logits, lowest):
    return jnp.where(logits >= lowest, logits, -jnp.inf)
