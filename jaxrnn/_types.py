"""The two types that everything is made of: a cell is one time step, a layer is a whole sequence.

Both are bundles of pure functions. Parameters and carries are pytrees of arrays, most often
NamedTuples; nothing is hidden in an object, and behaviour changes by wrapping:
``cell._replace(update=...)``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

Params = Any  # a pytree of arrays
Carry = Any  # a pytree of arrays; what a cell hands from one time step to the next


class Cell(NamedTuple):
    """One time step, split so that the fast forms of `jaxrnn.unroll` can take it apart.

    Attributes:
      init: ``(key, x) -> params``. ``x`` is an example step ``(..., I)``, an array or a
        ``jax.ShapeDtypeStruct``; only its shape and dtype are read. Parameters take its dtype.
      init_carry: ``(params, x) -> carry``, the initial carry for steps like ``x``. It is given the
        parameters so that an initial carry can be learned.
      project: ``(params, x) -> u``, input-to-hidden. It never sees the carry, so it leaves the
        loop.
      recur: ``(params, carry) -> v``, hidden-to-hidden. It is linear in the carry, so its weight
        gradient leaves the backward loop.
      update: ``(params, carry, u, v) -> (carry, y)``, the gates. Without a matrix product, as in
        all cells but `jaxrnn.projected_lstm`, it can be traced into any fused kernel.
      noise: ``(params, key, step, x) -> noise``, of a cell that draws random numbers, such as
        `jaxrnn.zoneout`: what one sequence needs at its step number `step`, from its own key. x is
        an example of one input (I,). The cell then also takes `Noisy` inputs; without noise it is
        deterministic.

    Leading axes of ``x`` and of the carry are batch axes: `project` and `recur` must accept any
    number of them (``x @ params.kernel`` does). Every leaf of the carry keeps its shape and dtype.
    """

    init: Callable[[Any, Any], Params]
    init_carry: Callable[[Params, Any], Carry]
    project: Callable[[Params, Any], Any]
    recur: Callable[[Params, Carry], Any]
    update: Callable[[Params, Carry, Any, Any], tuple[Carry, Any]]
    noise: Callable[[Params, Any, Any, Any], Any] | None = None


class Layer(NamedTuple):
    """A whole sequence; ``xs`` is time-first, ``(T, ..., I)``.

    Attributes:
      init: ``(key, xs) -> params``. ``xs`` is an example sequence, or only its shape and dtype.
      init_carry: ``(params, xs) -> carry``, the initial carry for sequences like ``xs``.
      apply: ``(params, carry, xs, *, mask=None, resets=None, key=None) -> (carry, ys)``.
        ``carry=None`` means the initial carry and ``key=None`` means deterministic, as in
        evaluation. `mask` and `resets` are as in `jaxrnn.unroll`. Applying a layer to two chunks
        one after the other, handing the carry on, equals applying it to the whole.
    """

    init: Callable[[Any, Any], Params]
    init_carry: Callable[[Params, Any], Carry]
    apply: Callable[..., tuple[Carry, Any]]


def from_step(
    init: Callable[[Any, Any], Params],
    init_carry: Callable[[Params, Any], Carry],
    step: Callable[[Params, Carry, Any], tuple[Carry, Any]],
) -> Cell:
    """A cell from its whole step, for cells that do not split into project, recur and update.

    It works everywhere and runs on the plain scan: ``implementation="scan"``.

    Args:
      init: ``(key, x) -> params``.
      init_carry: ``(params, x) -> carry``.
      step: ``(params, carry, x) -> (carry, y)``.

    Returns:
      A `Cell` for which `splits` is False.
    """

    def update(params, carry, u, v):
        return step(params, carry, u)

    return Cell(init, init_carry, _unsplit_project, _unsplit_recur, update)


def splits(cell: Cell) -> bool:
    """Whether `cell` splits into project, recur and update, or came from `from_step`."""
    return cell.recur is not _unsplit_recur


def _unsplit_project(params, x):
    return x


def _unsplit_recur(params, carry):
    return ()
