"""A cell over a sequence, as a layer."""

from jaxrnn._compose import layer_of
from jaxrnn._types import Cell, Layer


def rnn(cell: Cell, *, reverse: bool = False, implementation: str | None = None) -> Layer:
    """The layer that runs `cell` over a sequence.

    Args:
      cell: what to run at each step.
      reverse: whether to run from the last step to the first, as in `jaxrnn.unroll`.
      implementation: how to run it, as in `jaxrnn.unroll`.

    Returns:
      A `Layer` with the parameters and the carry of `cell`: (T, ..., I) -> (T, ..., H).

    Raises:
      ValueError, TypeError: `cell` is no cell, or `implementation` cannot run it.
    """
    return layer_of(cell, reverse=reverse, implementation=implementation)
