"""The beams of one sequence: how they are extended, and which of them are kept."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.numerics import sum_dtype
from jaxrnn._core.types import Carry


class Live(NamedTuple):
    """N beams that have not ended, the best first."""

    carry: Carry  # (N, ...)
    log_p: jax.Array  # (N,), -inf for a beam that is not there
    symbols: jax.Array  # int32 (L, N), what each beam appended at each step
    parents: jax.Array  # int32 (L, N), the beam before the step that it extends


class Ended(NamedTuple):
    """The best N sequences that have ended, the best first."""

    scores: jax.Array  # (N,)
    lengths: jax.Array  # int32 (N,), without the stop symbol
    beams: jax.Array  # int32 (N,), the beam that each was after its last step


class _State(NamedTuple):
    count: jax.Array  # symbols so far
    live: Live
    ended: Ended
    is_lost: jax.Array  # bool, whether a beam had logits of NaN


class Search(NamedTuple):
    """What a search is compiled for."""

    beams: int
    length: int
    stop: int | None
    length_penalty: float

    def score(self, log_p: jax.Array, count: Any) -> jax.Array:
        """The score of sequences of `count` symbols (Wu et al., 2016)."""
        factor = (5 + jnp.asarray(count, log_p.dtype)) / 6
        return log_p / factor**self.length_penalty


def search(step: Callable, carry: Carry, logits: jax.Array, how: Search) -> tuple:
    """The best sequences after a prompt.

    Args:
      step: ``(carry, symbol) -> (carry, logits)``, of one beam.
      carry: after the prompt.
      logits: (V,), after the prompt.
      how: what is asked for.

    Returns:
      Symbols (L, N), the number of symbols before the stop symbol (N,), and scores (N,).
    """
    tiled = jax.tree.map(lambda x: jnp.broadcast_to(x, (how.beams, *x.shape)), (carry, logits))
    dtype = sum_dtype(logits.dtype)
    log_p = jnp.full(how.beams, -jnp.inf, dtype).at[0].set(0)  # one beam, the empty one
    none = jnp.zeros((how.length, how.beams), jnp.int32)
    live = Live(tiled[0], log_p, none, none)
    rows = jnp.zeros(how.beams, jnp.int32)
    ended = Ended(jnp.full(how.beams, -jnp.inf, dtype), rows, rows)

    def advance(state):
        symbols = state.live.symbols[state.count - 1]
        carry, logits = jax.vmap(step)(state.live.carry, symbols)
        live = state.live._replace(carry=carry)
        return _extended(state._replace(live=live), logits, how)

    first = _extended(_State(jnp.int32(0), live, ended, jnp.bool_(False)), tiled[1], how)
    last = jax.lax.while_loop(lambda state: _can_improve(state, how), advance, first)
    return _result(last, how)


def _extended(state: _State, logits: jax.Array, how: Search) -> _State:
    """One more symbol for each live beam; sequences that end with it compete with those before."""
    live, ended, count = state.live, state.ended, state.count
    log_p = live.log_p[:, None] + _log_softmax(logits.astype(live.log_p.dtype))
    is_lost = jnp.any(jnp.isnan(log_p))
    if how.stop is not None:
        scores = how.score(log_p[:, how.stop], count + 1)
        lengths = jnp.full(how.beams, count, jnp.int32)
        ended = _best(ended, Ended(scores, lengths, jnp.arange(how.beams, dtype=jnp.int32)))
        log_p = log_p.at[:, how.stop].set(-jnp.inf)
    log_p, places = jax.lax.top_k(log_p.reshape(-1), how.beams)
    parents, symbols = jnp.divmod(places.astype(jnp.int32), logits.shape[-1])
    live = Live(
        jax.tree.map(lambda x: x[parents], live.carry),
        log_p,
        live.symbols.at[count].set(symbols),
        live.parents.at[count].set(parents),
    )
    return _State(count + 1, live, ended, state.is_lost | is_lost)


def _log_softmax(logits):
    """-inf where all logits are: such a beam cannot go on."""
    is_over = jnp.max(logits, axis=-1, keepdims=True) == -jnp.inf
    return jnp.where(is_over, -jnp.inf, jax.nn.log_softmax(jnp.where(is_over, 0, logits)))


def _best(first: Ended, second: Ended) -> Ended:
    """The best N of both; of equals, the ones of `first`."""
    both = jax.tree.map(lambda *parts: jnp.concatenate(parts), first, second)
    scores, places = jax.lax.top_k(both.scores, first.scores.size)
    return Ended(scores, both.lengths[places], both.beams[places])


def _can_improve(state: _State, how: Search) -> jax.Array:
    """Whether a live beam may still end with a score that is better than the last one kept."""
    best_possible = how.score(state.live.log_p[0], how.length)
    is_open = state.count < how.length
    return is_open & ~state.is_lost & (best_possible > state.ended.scores[-1])


def _result(state, how):
    live, is_cut = state.live, state.count == how.length
    scores = jnp.where(is_cut, how.score(live.log_p, how.length), -jnp.inf)
    lengths = jnp.full(how.beams, how.length, jnp.int32)
    best = _best(state.ended, Ended(scores, lengths, jnp.arange(how.beams, dtype=jnp.int32)))
    lengths = jnp.where(best.scores == -jnp.inf, 0, best.lengths)
    symbols = _followed(live, best._replace(lengths=lengths), how)
    return (
        jnp.where(state.is_lost, -1, symbols),
        jnp.where(state.is_lost, how.length, lengths),
        jnp.where(state.is_lost, jnp.nan, best.scores),
    )


def _followed(live: Live, best: Ended, how: Search) -> jax.Array:
    """The symbols (L, N) of the sequences, each followed back from its last beam."""
    padding = 0 if how.stop is None else how.stop

    def back(beams, step):
        count, symbols, parents = step
        is_inside = count < best.lengths
        symbol = jnp.where(is_inside, symbols[beams], padding)
        return jnp.where(is_inside, parents[beams], beams), symbol

    counts = jnp.arange(how.length, dtype=jnp.int32)
    return jax.lax.scan(back, best.beams, (counts, live.symbols, live.parents), reverse=True)[1]
