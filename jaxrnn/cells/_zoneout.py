"""Zoneout: units of the carry that stay as they were."""

import numbers

import jax

from jaxrnn._checks import check_rate
from jaxrnn._masking import select
from jaxrnn._noise import StateDropoutCarry, is_floating, keep_leaves, noisy
from jaxrnn._types import Carry, Cell
from jaxrnn._unroll import check_cell


def zoneout(cell: Cell, rate: float | Carry) -> Cell:
    """Keeps units of the carry as they were, each with probability `rate` at each step.

        c' = k c + (1 - k) cell(c)        k ~ Bernoulli(rate), with random numbers
        c' = rate c + (1 - rate) cell(c)  without: its expectation

    An output that is itself a leaf of the new carry, as in ``return LSTMCarry(h, c), h``, is that
    leaf after zoneout.

    Args:
      cell: any cell.
      rate: the probability, in [0, 1), for every floating leaf of the carry; or a carry that holds
        one for each leaf, such as ``LSTMCarry(h=0.05, c=0.5)``.

    Returns:
      A `Cell` with the parameters and the carry of `cell`. It draws random numbers where the layer
      that runs it is given a key.

    Raises:
      ValueError, TypeError: a rate is not in [0, 1), the rates do not have the structure of the
        carry, `cell` is no cell, or it is one of `jaxrnn.state_dropout`, which goes outside.

    References: Krueger et al., 2017, "Zoneout: regularizing RNNs by randomly preserving hidden
    activations".
    """
    check_cell(cell)
    for leaf in jax.tree.leaves(rate):
        check_rate("rate", leaf)

    def draw(params, key, step, x):
        carry = jax.eval_shape(cell.init_carry, params, x)
        return keep_leaves(jax.random.fold_in(key, step), _rates(rate, carry), carry)

    def update(params, carry, u, v, renew):
        rates = _rates(rate, carry)
        new, y = cell.update(params, carry, u, v)
        old, structure = jax.tree.flatten(carry)
        fresh = jax.tree.leaves(new)
        blend = _expectation if renew is None else select
        zoned = list(map(blend, rates if renew is None else renew, fresh, old))
        # The output is recognised by identity: it is the same array, not an equal one.
        after = {id(leaf): zoned_leaf for leaf, zoned_leaf in zip(fresh, zoned, strict=True)}
        return structure.unflatten(zoned), jax.tree.map(lambda leaf: after.get(id(leaf), leaf), y)

    return noisy(cell, draw, update)


def _expectation(rate, fresh, old):
    return rate * old + (1 - rate) * fresh if rate else fresh


def _rates(rate, carry):
    """The rate of each leaf of `carry`; 0 for those that are not floating."""
    nodes = jax.tree.leaves(carry, is_leaf=lambda node: isinstance(node, StateDropoutCarry))
    if any(isinstance(node, StateDropoutCarry) for node in nodes):
        raise ValueError(
            "`zoneout` must be inside of `state_dropout`: the carry that the recurrent product "
            "reads is made from the zoned one. Write `state_dropout(zoneout(cell, ...), ...)`."
        )
    leaves, structure = jax.tree.flatten(carry)
    if isinstance(rate, numbers.Real):
        rates = [rate] * len(leaves)
    elif jax.tree.structure(rate) == structure:
        rates = jax.tree.leaves(rate)
    else:
        raise ValueError(
            f"`rate` must be a number, or a carry of numbers with the structure {structure}, got "
            f"{rate!r}."
        )
    return [r if is_floating(leaf) else 0 for r, leaf in zip(rates, leaves, strict=True)]
