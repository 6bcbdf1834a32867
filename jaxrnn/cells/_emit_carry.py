"""All carries over time, for analysis and for training that starts in the middle."""

from typing import Any, NamedTuple

from jaxrnn._types import Carry, Cell


class Emitted(NamedTuple):
    y: Any  # of the cell
    carry: Carry  # before the step, after its reset


def emit_carry(cell: Cell) -> Cell:
    """`cell`, with the carry before each step beside its output.

    Over a sequence the first of them is the initial carry, and the carry that `jaxrnn.unroll`
    returns is the one after the last step: T + 1 in all. Replayed experience can start from any of
    them (Kapturowski et al., 2019: R2D2).

    Args:
      cell: any cell.

    Returns:
      A `Cell` with the parameters and the carry of `cell`, whose output is `Emitted`. At masked
      steps it is zero, as every output.
    """

    def update(params, carry, u, v):
        new, y = cell.update(params, carry, u, v)
        return new, Emitted(y, carry)

    return cell._replace(update=update)
