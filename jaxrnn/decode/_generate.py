"""Generation: each symbol is drawn from the output for the symbols before it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_size
from jaxrnn._core.mesh import with_auto_axes
from jaxrnn._core.shardings import like_decoded
from jaxrnn._core.types import Carry, Layer, Params
from jaxrnn.decode._checks import (
    check_drawn,
    check_logits,
    check_prompt,
    check_start,
    check_symbols,
    keys_of_rows,
)
from jaxrnn.decode._feeding import Choices, as_int32, as_one_program, draw_rows, feed, read
from jaxrnn.decode._samplers import Sampler, categorical


class Generated(NamedTuple):
    """What `generate` returns.

    Attributes:
      carry: after all symbols but the last, which has not been read.
      symbols: int32 (L, ...); after the end of a row, `stop`.
      mask: bool (L, ...), True for the symbols before `stop`.
    """

    carry: Carry
    symbols: jax.Array
    mask: jax.Array


def generate(
    model: Layer,
    params: Params,
    prompt: jax.Array,
    key: jax.Array | None,
    length: int,
    *,
    sample: Sampler = categorical(),
    stop: int | None = None,
    mask: jax.Array | None = None,
    carry: Carry | None = None,
    context: Any = None,
    start: int | jax.Array = 0,
) -> Generated:
    """Generates symbols: draws each from the logits for all before it, and feeds it back.

    One compiled loop for the prompt and all symbols. A row ends at its first `stop`, and the loop
    when all rows have ended. To go on later, pass what came last: ``generate(model, params,
    out.symbols[-1:], key, more, mask=out.mask[-1:], carry=out.carry, start=length)`` draws what one
    longer call would have drawn.

    Args:
      model: a layer from symbols (T, ...) to logits (T, ..., V).
      params: from ``model.init``.
      prompt: integers (P, ...), the symbols to begin with; P is at least 1. Pad prompts of several
        lengths, on any side, and pass `mask`: a few padded lengths mean a few programs.
      key: a random key, which is split over the rows, or one key for each row. None if `sample`
        draws nothing.
      length: L, the number of symbols to generate.
      sample: ``(key, logits (V,)) -> symbol``, such as `greedy`, or `categorical` with a
        temperature.
      stop: the symbol that ends a row.
      mask: bool (P, ...), True = a real symbol of the prompt. A row without one has ended, which
        is allowed with a given `carry` alone.
      carry: before the prompt; None means the initial carry.
      context: as in `jaxrnn.unroll`.
      start: the number of symbols drawn before, with this key, by calls that this one continues.

    Returns:
      `Generated`. A row whose logits are NaN, or all -inf, is -1 from there on.

    Raises:
      ValueError, TypeError: an argument does not fit; the prompt is empty; a symbol or `stop` is
        outside the vocabulary, where it is known; or `key` is None and `sample` draws.

    References: Graves, 2013, "Generating sequences with recurrent neural networks".

    Examples:
      >>> model = jaxrnn.embed(5, 5)  # logits by the last symbol; here n + 1 follows n
      >>> params = jaxrnn.layers.EmbedParams(100 * jnp.roll(jnp.eye(5), 1, axis=1))
      >>> prompt = jnp.array([[0, 2]])  # (P, B)
      >>> out = jaxrnn.decode.generate(model, params, prompt, jax.random.key(0), 4, stop=4)
      >>> out.symbols.T.tolist(), out.mask.sum(0).tolist()
      ([[1, 2, 3, 4], [3, 4, 4, 4]], [3, 1])
    """
    check_size("length", length)
    check_start(start)
    check_prompt(prompt, mask, carry)
    num_symbols, dtype = check_logits(model, params, prompt)
    check_symbols(prompt, mask, stop, num_symbols)
    stop = None if stop is None else int(stop)
    choices = Choices(sample, int(length), stop, prompt.ndim - 1)
    keys = keys_of_rows(key, prompt.shape[1:])
    logits = jax.ShapeDtypeStruct((*prompt.shape, num_symbols), dtype)
    check_drawn(sample, keys, logits, prompt, prompt.ndim - 1)
    given = params, carry, prompt, mask, keys, context, start
    names = "params", "carry", "prompt", "mask", "key", "context", "start"

    def run(arguments):
        return _loop(model, choices, *arguments.values())

    carry, outs = with_auto_axes(run, dict(zip(names, given, strict=True)), like_decoded)
    return Generated(carry, *outs)


class _State(NamedTuple):
    carry: Carry
    count: jax.Array  # symbols so far
    alive: jax.Array  # bool (...), whether the last symbol is real
    lengths: jax.Array  # int32 (...), real symbols so far
    symbols: jax.Array  # int32 (L, ...)


@as_one_program
def _loop(model, choices, params, carry, prompt, mask, keys, context, start):
    prompt, batch = as_int32(prompt), prompt.shape[1:]
    start = jnp.asarray(start, jnp.int32)
    padding = 0 if choices.stop is None else choices.stop
    may_end = mask is not None or choices.stop is not None

    def draw(state, logits):
        before = state.symbols[state.count - 1]
        new = draw_rows(choices.sample, keys, start + state.count, logits, len(batch))
        best = jnp.max(logits, axis=-1)
        is_lost = jnp.isnan(best) | (best == -jnp.inf) | ((state.count > 0) & (before < 0))
        new = jnp.where(is_lost, -1, new.astype(jnp.int32))
        alive = state.alive if choices.stop is None else state.alive & (new != choices.stop)
        symbols = state.symbols.at[state.count].set(jnp.where(alive, new, padding))
        lengths = state.lengths + alive.astype(jnp.int32)
        return _State(state.carry, state.count + 1, alive, lengths, symbols)

    def advance(state):
        is_real = state.alive if may_end else None
        symbol = state.symbols[state.count - 1]
        carry, logits = feed(model, params, state.carry, symbol, is_real, context)
        return draw(state._replace(carry=carry), logits)

    def goes_on(state):
        return (state.count < choices.length) & jnp.any(state.alive)

    carry, logits = read(model, params, carry, prompt, mask, context)
    alive = jnp.ones(batch, bool) if mask is None else jnp.any(mask, axis=0)
    none = jnp.full((choices.length, *batch), padding, jnp.int32)
    first = _State(carry, jnp.int32(0), alive, jnp.zeros(batch, jnp.int32), none)
    last = jax.lax.while_loop(goes_on, advance, draw(first, logits))
    steps = jnp.arange(choices.length, dtype=jnp.int32)
    return last.carry, (last.symbols, jax.vmap(lambda step: step < last.lengths)(steps))
