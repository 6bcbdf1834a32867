"""Zoneout: units of the carry that keep their value."""

import functools
import numbers

import jax

from jaxrnn._core.checks import check_rate
from jaxrnn._core.entry import constructor
from jaxrnn._core.masking import inside_leaf_resets, select
from jaxrnn._core.noise import check_no_state_dropout, in_dtype, is_zero, keep_leaves, noisy
from jaxrnn._core.numerics import is_floating
from jaxrnn._core.sharing import check_shared_axes
from jaxrnn._core.types import Carry, Cell, check_splits


@constructor
def zoneout(cell: Cell, rate: float | Carry, *, shared_axes: tuple[int, ...] = ()) -> Cell:
    """Keeps units of the carry unchanged, each with probability `rate` at each step.

        c' = k c + (1 - k) cell(c)        k ~ Bernoulli(rate), with random numbers
        c' = rate c + (1 - rate) cell(c)  without: its expectation

    The output is made from the carry after zoneout.

    Args:
      cell: any cell but one from `jaxrnn.from_step`.
      rate: the probability, in [0, 1), for every floating leaf of the carry; or a carry that holds
        one for each leaf, such as ``LSTMCarry(h=0.05, c=0.5)``.
      shared_axes: the axes of a leaf over which one draw is shared, counted from the last, -1:
        ``(-3, -2)`` keeps whole channels of pictures (..., height, width, channels).

    Returns:
      A `Cell` with the parameters and the carry of `cell`. It draws random numbers where the layer
      that runs it is given a key.

    Raises:
      ValueError, TypeError: a rate is not in [0, 1), the rates do not have the structure of the
        carry, `shared_axes` are not axes of its leaves, or `cell` comes from `from_step`, or from
        `jaxrnn.state_dropout` or `jaxrnn.reset_leaves`, which go outside.

    References: Krueger et al., 2017, "Zoneout: regularizing RNNs by randomly preserving hidden
    activations".

    Examples:
      >>> cell = jaxrnn.zoneout(jaxrnn.lstm(8), jaxrnn.LSTMCarry(h=0.0, c=0.5))
      >>> xs = jnp.ones((1, 2, 4))  # one step, (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> carry, _ = jaxrnn.unroll(cell, params, None, xs)
      >>> without, _ = jaxrnn.unroll(jaxrnn.lstm(8), params, None, xs)
      >>> bool(jnp.allclose(carry.c, 0.5 * without.c))  # without a key: the expectation
      True
    """
    check_splits("zoneout", cell)
    rate = jax.tree.map(functools.partial(check_rate, "rate"), rate)
    check_shared_axes(shared_axes)

    def draw(params, key, step, x):
        carry = jax.eval_shape(cell.init_carry, params, x)
        rates = _rates(rate, carry)
        return keep_leaves(jax.random.fold_in(key, step), rates, carry, shared_axes)

    def update(params, carry, u, v, renew):
        rates = _rates(rate, carry)
        new = jax.tree.leaves(cell.update(params, carry, u, v))
        old, structure = jax.tree.flatten(carry)
        blend = _expectation if renew is None else select
        return structure.unflatten(map(blend, rates if renew is None else renew, new, old))

    return noisy(inside_leaf_resets("zoneout", cell), draw, update)


def _expectation(rate, fresh, old):
    if is_zero(rate):
        return fresh
    rate = in_dtype(rate, fresh.dtype)
    return rate * old + (1 - rate) * fresh


def _rates(rate, carry):
    """The rate of each leaf of `carry`; 0 for those that are not floating."""
    check_no_state_dropout("zoneout", carry)
    leaves, structure = jax.tree.flatten(carry)
    if isinstance(rate, (numbers.Real, jax.Array)):
        rates = [rate] * len(leaves)
    elif jax.tree.structure(rate) == structure:
        rates = jax.tree.leaves(rate)
    else:
        raise ValueError(
            "`rate` must be a number, or a carry of numbers such as "
            f"{jax.tree.map(lambda _: 0.1, carry)!r}, got {rate!r}."
        )
    return [r if is_floating(leaf) else 0 for r, leaf in zip(rates, leaves, strict=True)]
