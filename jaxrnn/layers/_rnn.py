"""A cell over a sequence, as a layer."""

from jaxrnn._checks import example
from jaxrnn._types import Cell, Layer
from jaxrnn._unroll import check_cell, choose, unroll


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
    check_cell(cell)
    choose(cell, implementation)

    def init(key, xs):
        return cell.init(key, example(xs))

    def init_carry(params, xs):
        return cell.init_carry(params, example(xs))

    def apply(params, carry, xs, *, mask=None, resets=None, key=None):
        options = {"mask": mask, "resets": resets}
        choices = {"reverse": reverse, "implementation": implementation}
        return unroll(cell, params, carry, xs, **options, **choices)

    return Layer(init, init_carry, apply)
