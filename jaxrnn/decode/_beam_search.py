"""Beam search: the most likely sequences of symbols, with several kept at each step."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_size, describe
from jaxrnn._core.mesh import with_auto_axes
from jaxrnn._core.shardings import like_decoded
from jaxrnn._core.types import Carry, Layer, Params
from jaxrnn.decode._beams import Search, search
from jaxrnn.decode._checks import check_logits, check_number, check_prompt, check_symbols
from jaxrnn.decode._feeding import as_int32, as_one_program, feed, read


class Beams(NamedTuple):
    """N sequences for each row, the best first.

    Attributes:
      symbols: int32 (L, ..., N); after the end of a sequence, `stop`.
      mask: bool (L, ..., N), True for the symbols before `stop`.
      scores: (..., N), -inf where there is no such sequence.
    """

    symbols: jax.Array
    mask: jax.Array
    scores: jax.Array


def beam_search(
    model: Layer,
    params: Params,
    prompt: jax.Array,
    beams: int,
    length: int,
    *,
    stop: int | None = None,
    length_penalty: float = 0.0,
    mask: jax.Array | None = None,
    carry: Carry | None = None,
    context: Any = None,
) -> Beams:
    """Beam search: the most likely continuations of a prompt, the best N kept at each step.

        score = log p / ((5 + n) / 6)^length_penalty

    n counts the symbols, `stop` included. Sequences that have ended compete with one another, and
    do not crowd out those that go on: at each step, N sequences go on. The search of a row ends
    when none of them can still score better than the N best that have ended. Of equal scores, the
    sequence that ended first comes first, and then the one from the better beam.

    With as many beams as there are sequences the search is exhaustive, so N may be larger than V.
    The scores have no reverse-mode derivative: for one, score the symbols with ``model.apply``.

    Args:
      model: a layer from symbols (T, ...) to logits (T, ..., V).
      params: from ``model.init``.
      prompt: integers (P, ...), the symbols to begin with; P is at least 1.
      beams: N, the number of sequences to keep, and to return.
      length: L, the largest number of symbols. A sequence that has not ended is cut off there.
      stop: the symbol that ends a sequence; None means that all have L symbols.
      length_penalty: from 0 to 10. Larger numbers favor longer sequences. It cannot be traced.
      mask: bool (P,) or (P, ...), True = a real symbol of the prompt.
      carry: before the prompt; None means the initial carry.
      context: as in `jaxrnn.unroll`. All beams of a row read the same one.

    Returns:
      `Beams`. A row with logits of NaN has symbols of -1 and scores of NaN.

    Raises:
      ValueError, TypeError: an argument does not fit; the prompt is empty; or a symbol or `stop` is
        outside the vocabulary, where it is known.

    References: Graves, 2012, "Sequence transduction with recurrent neural networks"; Wu et al.,
    2016, "Google's neural machine translation system" (the length penalty).

    Examples:
      >>> p = jnp.array([[1.0, 0, 0, 0], [0.4, 0.3, 0.3, 0], [1, 0, 0, 0], [0, 0.6, 0.4, 0]])
      >>> model, params = jaxrnn.embed(4, 4), jaxrnn.layers.EmbedParams(jnp.log(p))  # bigrams
      >>> best = jaxrnn.decode.beam_search(model, params, jnp.array([3]), beams=2, length=2, stop=0)
      >>> best.symbols.T.tolist()  # though 1 is the likelier first symbol
      [[2, 0], [1, 0]]
      >>> [round(float(p), 2) for p in jnp.exp(best.scores)]
      [0.4, 0.24]
    """
    check_size("beams", beams)
    check_size("length", length)
    check_number("length_penalty", length_penalty, lambda x: 0 <= x <= 10, "a number from 0 to 10")
    if isinstance(length_penalty, jax.core.Tracer):
        raise TypeError("`length_penalty` is part of the program: expected a number, got a tracer.")
    check_prompt(prompt, mask, None)
    check_symbols(prompt, mask, stop, check_logits(model, params, prompt)[0])
    _check_carry(model, params, carry, prompt)
    if mask is not None and mask.ndim < prompt.ndim:
        mask = jnp.broadcast_to(jnp.expand_dims(mask, range(mask.ndim, prompt.ndim)), prompt.shape)
    stop = None if stop is None else int(stop)
    how = Search(int(beams), int(length), stop, float(length_penalty))
    names = "params", "carry", "prompt", "mask", "context"
    given = dict(zip(names, (params, carry, prompt, mask, context), strict=True))

    def run(arguments):
        return None, _search_rows(model, how, *arguments.values())

    return with_auto_axes(run, given, like_decoded)[1]


@as_one_program
def _search_rows(model, how, params, carry, prompt, mask, context):
    def search_row(carry, prompt, mask, context):
        carry, logits = read(model, params, carry, prompt, mask, context)

        def step(carry, symbol):
            return feed(model, params, carry, symbol, None, context)

        return search(step, carry, logits, how)

    axes = _axes_of(model, params, carry, prompt), 1, 1, 0
    for _ in range(prompt.ndim - 1):
        search_row = jax.vmap(search_row, axes, (1, 0, 0))
    symbols, lengths, scores = search_row(carry, as_int32(prompt), mask, context)
    steps = jnp.arange(how.length, dtype=jnp.int32)
    return Beams(symbols, jax.vmap(lambda step: step < lengths)(steps), scores)


def _axes_of(model, params, carry, prompt):
    """The batch axis of each leaf of a given carry: it may hold what all rows share."""
    alone = _carry_of_a_row(model, params, prompt)
    if jax.tree.structure(alone) != jax.tree.structure(carry):
        return 0
    return jax.tree.map(lambda leaf, own: 0 if leaf.ndim > own.ndim else None, carry, alone)


def _carry_of_a_row(model, params, prompt):
    row = jax.ShapeDtypeStruct(prompt.shape[:1], jnp.int32)
    return jax.eval_shape(functools.partial(model.init_carry, params), row)


def _check_carry(model, params, carry, prompt):
    """Raises if `carry` is one of other rows."""
    alone, batch = _carry_of_a_row(model, params, prompt), prompt.shape[1:]
    if carry is None or jax.tree.structure(alone) != jax.tree.structure(carry):
        return
    for leaf, own in zip(jax.tree.leaves(carry), jax.tree.leaves(alone), strict=True):
        if leaf.shape not in (own.shape, (*batch, *own.shape)):
            raise ValueError(
                f"`carry` must have the batch axes of `prompt`, {batch}: expected "
                f"{(*batch, *own.shape)}, got {describe(leaf)}."
            )
