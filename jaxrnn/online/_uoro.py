"""Unbiased online recurrent optimization: the influence as a random product of two vectors."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.construction import recorded
from jaxrnn._core.types import Cell
from jaxrnn.online._build import build
from jaxrnn.online._types import OnlineCell, Rule


class RankOne(NamedTuple):
    """The influence of all parameters on the carry, estimated as a product of two vectors."""

    left: jax.Array  # (N,), as the carry
    right: list[jax.Array]  # as the parameters


@recorded
def uoro(cell: Cell) -> OnlineCell:
    """Unbiased online recurrent optimization (UORO): a random gradient, right on average.

        s' = ρ J s + σ ν,    w' = w / ρ + ν I / σ,    dL/dθ = (dL/dh' s') w'

    The influence of the parameters on the carry is estimated by the product s w, with random signs
    ν at each step. J and I are as in `rtrl`, and are never computed; ρ and σ keep both factors
    equally long. The mean over keys is the exact gradient, but a single one is noisy, the more so
    the longer the memory: average over a batch, and learn slowly.

    It keeps as many numbers as the parameters and the carry have, for each row of the batch, and a
    step takes about three times as long as one of backpropagation.

    Args:
      cell: any `Cell` with a state equation. One that draws random numbers is deterministic, unless
        its inputs are `jaxrnn.Noisy`.

    Returns:
      An `OnlineCell`, whose `init` needs a `key`. It is split over the rows of the batch.

    Raises:
      ValueError, TypeError: `cell` is not a `Cell`, or comes from `jaxrnn.from_step`. Its `init`
        refuses cells with `jaxrnn.clip_carry_gradient`, and complex numbers.

    References: Tallec and Ollivier, 2018, "Unbiased online recurrent optimization".

    Examples:
      >>> cell, x = jaxrnn.elman(4), jnp.ones((3, 2))  # (B, I)
      >>> params, online = cell.init(jax.random.key(0), x), jaxrnn.online.uoro(cell)
      >>> state = online.init(params, x, key=jax.random.key(1))
      >>> state, y = online.step(params, state, x)
      >>> y.shape
      (3, 4)
    """
    return build("uoro", cell, Rule(_begin, _advance, _along, draws=True))


def _begin(units, key, start, leaves):
    vector, pull = jax.vjp(start, leaves)
    signs = _signs(key, vector)
    (right,) = pull(signs)
    scale = _ratio(right, signs)
    return RankOne(scale * signs, [leaf / scale for leaf in right])


def _advance(units, key, influence, move, leaves, vector):
    _, carried = jax.jvp(functools.partial(move, leaves), (vector,), (influence.left,))
    _, pull = jax.vjp(lambda leaves: move(leaves, vector), leaves)
    signs = _signs(key, vector)
    (immediate,) = pull(signs)
    past, new = _ratio(influence.right, carried), _ratio(immediate, signs)
    right = [w / past + i / new for w, i in zip(influence.right, immediate, strict=True)]
    return RankOne(past * carried + new * signs, right)


def _along(units, influence, dleaves):
    terms = zip(influence.right, dleaves, strict=True)
    return influence.left * sum(jnp.vdot(w, dleaf) for w, dleaf in terms)


def _signs(key, vector):
    """+1 or -1 for each number of a vector, the same whether 64 bits are on or off."""
    bits = jax.random.bits(key, vector.shape, jnp.uint32)
    return jnp.where(bits >> 31, 1, -1).astype(vector.dtype)


def _ratio(leaves, vector):
    """The root of the ratio of two lengths, which balances the factors of a product."""
    tiny = 1e-7  # as in the paper: at the start, both lengths are 0
    length = jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in leaves))
    return jnp.sqrt((length + tiny) / (jnp.sqrt(jnp.vdot(vector, vector)) + tiny))
