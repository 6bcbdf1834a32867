"""Zoneout: units of the carry that stay as they were."""

import functools
import numbers

import jax

from jaxrnn._checks import check_rate
from jaxrnn._masking import select
from jaxrnn._noise import check_no_state_dropout, keep_leaves, noisy
from jaxrnn._precision import is_floating
from jaxrnn._types import Carry, Cell
from jaxrnn._unroll import check_cell


def zoneout(cell: Cell, rate: float | Carry) -> Cell:
    """Keeps units of the carry as they were, each with probability `rate` at each step.

        c' = k c + (1 - k) cell(c)        k ~ Bernoulli(rate), with random numbers
        c' = rate c + (1 - rate) cell(c)  without: its expectation

    An output that is itself a leaf of the new carry, as in ``return LSTMCarry(h, c), h``, is that
    leaf after zoneout; other outputs stay as the cell made them.

    Args:
      cell: any cell for inputs (..., I).
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
    rate = jax.tree.map(functools.partial(check_rate, "rate"), rate)

    def draw(params, key, step, x):
        carry = jax.eval_shape(cell.init_carry, params, x)
        return keep_leaves(jax.random.fold_in(key, step), _rates(rate, carry), carry)

    def update(params, carry, u, v, renew):
        rates = _rates(rate, carry)
        new, y = cell.update(params, carry, u, v)
        old, structure = jax.tree.flatten(carry)
        blend = _expectation if renew is None else select
        zoned = list(map(blend, rates if renew is None else renew, jax.tree.leaves(new), old))
        leaves, outputs = jax.tree.flatten(y)
        ties = _ties(cell.update, params, carry, u, v)
        leaves = [leaf if i is None else zoned[i] for leaf, i in zip(leaves, ties, strict=True)]
        return structure.unflatten(zoned), outputs.unflatten(leaves)

    return noisy(cell, draw, update)


def _ties(update, *args):
    """For each leaf of y, the number of the leaf of the new carry that it is; None if it is none.

    Two outputs are one array where the program of `update` says so: not by their values, and not
    by the identity of Python objects, which `jax.jit` or `jax.checkpoint` within would lose.
    """
    program, (new, _) = jax.make_jaxpr(update, return_shape=True)(*args)
    names = _names(program.jaxpr)
    count = len(jax.tree.leaves(new))
    carry, outputs = names[:count], names[count:]
    return [carry.index(name) if name in carry else None for name in outputs]


def _names(jaxpr):
    """A name for each output of a program; outputs that are one array have the same."""
    same = {}

    def name(var):
        return id(var) if hasattr(var, "val") else same.get(var, var)  # a constant has a value

    for equation in jaxpr.eqns:
        if equation.primitive.name == "clip_cotangent":
            same[equation.outvars[0]] = name(equation.invars[0])
        inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
        if inner is not None and len(equation.outvars) > 1:
            first = {}
            inner_names = _names(getattr(inner, "jaxpr", inner))
            if len(inner_names) == len(equation.outvars):
                for inner_name, var in zip(inner_names, equation.outvars, strict=True):
                    same[var] = first.setdefault(inner_name, var)
    return [name(var) for var in jaxpr.outvars]


def _expectation(rate, fresh, old):
    return rate * old + (1 - rate) * fresh if rate else fresh


def _rates(rate, carry):
    """The rate of each leaf of `carry`; 0 for those that are not floating."""
    check_no_state_dropout("zoneout", carry)
    leaves, structure = jax.tree.flatten(carry)
    if isinstance(rate, numbers.Real):
        rates = [rate] * len(leaves)
    elif jax.tree.structure(rate) == structure:
        rates = jax.tree.leaves(rate)
    else:
        raise ValueError(
            "`rate` must be a number, or a carry of numbers such as "
            f"{jax.tree.map(lambda _: 0.1, carry)!r}, got {rate!r}."
        )
    return [r if is_floating(leaf) else 0 for r, leaf in zip(rates, leaves, strict=True)]
