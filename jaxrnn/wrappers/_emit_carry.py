"""All carries over time, for analysis and for training that starts in the middle."""

from typing import Any, NamedTuple

from jaxrnn._core.entry import constructor
from jaxrnn._core.types import Carry, Cell, check_splits


class Emitted(NamedTuple):
    y: Any  # of the cell
    carry: Carry  # after the step


@constructor
def emit_carry(cell: Cell) -> Cell:
    """`cell`, with the carry after each step beside its output.

    With the initial carry these are the T + 1 carries of a sequence. Replayed experience can start
    from any of them (Kapturowski et al., 2019: R2D2).

    Args:
      cell: any cell but one from `jaxrnn.from_step`.

    Returns:
      A `Cell` with the parameters and the carry of `cell`, whose output is `Emitted`. At masked
      steps it is zero, like every output.

    Raises:
      ValueError, TypeError: `cell` is not a `Cell`, or comes from `from_step`.

    Examples:
      >>> cell = jaxrnn.emit_carry(jaxrnn.lstm(8))
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> carry, (ys, carries) = jaxrnn.unroll(cell, params, None, xs)
      >>> ys.shape, carries.c.shape
      ((5, 2, 8), (5, 2, 8))
      >>> bool(jnp.allclose(carries.c[-1], carry.c))
      True
    """
    check_splits("emit_carry", cell)

    def output(params, carry, u):
        return Emitted(cell.output(params, carry, u), carry)

    return cell._replace(output=output)
