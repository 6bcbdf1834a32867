"""What the online gradients share: a pair of functions, the state between them, and a rule."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxrnn._core.construction import Constructed
from jaxrnn._core.types import Carry


class OnlineState(NamedTuple):
    """What an online gradient hands from one time step to the next: all that it keeps of the past.

    It is a pytree of arrays, and can be the carry of a `jax.lax.scan`.
    """

    carry: Carry  # of the cell
    influence: Any  # of the parameters on the carry, with its batch axes
    units: Any  # which unit each parameter feeds, for `snap1` and `eprop`
    key: jax.Array | None  # a random key for each row, for `uoro`


class _OnlineFields(NamedTuple):
    init: Callable[..., OnlineState]
    step: Callable[..., tuple[OnlineState, Any]]


class OnlineCell(Constructed, _OnlineFields):
    """A cell whose gradient goes forward in time: a pair of pure functions.

    Attributes:
      init: ``(params, x, carry=None, *, key=None) -> state``. `params` are from the `init` of the
        cell, and x is an example step (..., I), or its shape and dtype. None means the initial
        carry; it may be learned. A carry that you give counts as a constant. `key`, a key of
        `jax.random`, is for `uoro`; the other methods draw nothing and do not read it.
      step: ``(params, state, x, *, mask=None, resets=None) -> (state, y)``, one time step, whose
        output y is that of `jaxrnn.step`. The gradient of a loss of y with respect to `params` is
        that of all steps since `init`, exact or estimated, although no step is stored. With respect
        to x, it is that of this step alone; the new state passes none on. `mask` is bool (...),
        True = a real step: where False the state is held and the output is zero, whatever x holds.
        `resets` are bool (...): where True the state returns to the initial one before the step.
    """


class Rule(NamedTuple):
    """How a method keeps the influence of the parameters on the carry, for one sequence.

    The carry is a vector (N,) here, and the parameters are `leaves`, a list of arrays. They make
    the first vector by ``start(leaves)``, and each following one by ``move(leaves, vector)``.
    """

    begin: Callable  # (units, key, start, leaves) -> influence
    advance: Callable  # (units, key, influence, move, leaves, vector) -> influence
    along: Callable  # (units, influence, dleaves) -> dvector, linear in dleaves
    find_units: Callable = lambda cell, params, x: ()
    draws: bool = False  # whether it needs a key
