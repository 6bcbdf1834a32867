"""The rule of methods that keep, of the influence of a parameter, only that on its own unit."""

import jax
import jax.numpy as jnp

from jaxrnn.online._types import Rule
from jaxrnn.online._units import find_units


def own_unit_rule() -> Rule:
    """P' = J P + I, for the unit that a parameter feeds; all of it for one that feeds many units.

    The influence is a list with an entry for each array of parameters: L arrays of its shape, one
    for each array of the carry; or one, (N, ...), as in `rtrl`, if it feeds many units.
    """
    return Rule(_begin, _advance, _along, find_units)


def _begin(units, key, start, leaves):
    return _immediate(units, start, leaves)


def _advance(units, key, influence, move, leaves, vector):
    carried = jax.jacrev(move, argnums=1)(leaves, vector)
    immediate = _immediate(units, lambda leaves: move(leaves, vector), leaves)

    def advance(places, influence, immediate):
        if places is None:
            return jnp.tensordot(carried, influence, 1) + immediate
        return [
            new
            + sum(_at(carried, own, other) * p for other, p in zip(places, influence, strict=True))
            for own, new in zip(places, immediate, strict=True)
        ]

    return list(map(advance, units.fed, influence, immediate))


def _immediate(units, function, leaves):
    """The derivative I of a step; for a parameter that feeds one unit, the sum over all of them."""
    vector, pull = jax.vjp(function, leaves)
    sums = [pull(block.astype(vector.dtype))[0] for block in units.blocks]
    of_unit = [list(of_leaf) for of_leaf in zip(*sums, strict=True)]
    if None not in units.fed:
        return of_unit
    rows = jax.vmap(pull)(jnp.eye(vector.size, dtype=vector.dtype))[0]
    pairs = zip(units.fed, of_unit, rows, strict=True)
    return [whole if places is None else own for places, own, whole in pairs]


def _at(carried, own, other):
    """The derivative of the units at `own` with respect to those at `other`; 0 if there is none."""
    return carried.at[own, other].get(mode="fill", fill_value=0)


def _along(units, influence, dleaves):
    num_units = units.blocks.shape[1]

    def change(places, influence, dleaf):
        if places is None:
            return jnp.tensordot(influence, dleaf, dleaf.ndim)
        terms = zip(places, influence, strict=True)
        return sum(_scattered(own, p * dleaf, num_units) for own, p in terms)

    return sum(map(change, units.fed, influence, dleaves))


def _scattered(places, terms, num_units):
    """The sum of the terms for each unit, (N,); `places` may be the same along some axes."""
    shared = [axis for axis in range(terms.ndim) if places.shape[axis] < terms.shape[axis]]
    terms = jnp.sum(terms, axis=shared, keepdims=True)
    zeros = jnp.zeros(num_units, terms.dtype)
    return zeros.at[places.reshape(-1)].add(terms.reshape(-1), mode="drop")
