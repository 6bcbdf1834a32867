"""SnAp-1: real-time recurrent learning that keeps the influence on one unit."""

from jaxrnn._core.construction import recorded
from jaxrnn._core.types import Cell
from jaxrnn.online._build import build
from jaxrnn.online._own_unit import own_unit_rule
from jaxrnn.online._types import OnlineCell


@recorded
def snap1(cell: Cell) -> OnlineCell:
    """Sparse approximation of real-time recurrent learning (SnAp-1): one unit for each parameter.

    It is `jaxrnn.online.rtrl`, of whose influence it keeps, for each parameter, only that on the
    unit that the parameter feeds, such as the influence of a kernel's column j on h_j and c_j. It
    leaves out what goes around through other units, so the gradient is biased; it is exact where
    units see their own past alone, as in `jaxrnn.indrnn`, `jaxrnn.brc` and `jaxrnn.unicornn`. Which
    unit that is, the cell's derivative tells: any cell works as it is.

    It keeps a number for each parameter and each array of the carry, for each row of the batch. A
    step costs N backward passes of the cell from the carry alone, for N numbers in the carry, and a
    few from the parameters. An array of parameters that feeds many units at once keeps its whole
    influence, at the cost of `rtrl`: the scalars of `jaxrnn.fast_rnn`, which is nothing, but also
    the kernels of cells with layer normalization, with convolutions, or with a product after a
    gate, such as ``gru(reset_after=False)``. So do all parameters of a cell with integer inputs.

    Args:
      cell: any `Cell` with a state equation. One that draws random numbers is deterministic, unless
        its inputs are `jaxrnn.Noisy`.

    Returns:
      An `OnlineCell`.

    Raises:
      ValueError, TypeError: `cell` is not a `Cell`, or comes from `jaxrnn.from_step`. Its `init`
        refuses cells with `jaxrnn.clip_carry_gradient`, and complex numbers.

    References: Menick, Elsen, Evci, Osindero, Simonyan and Graves, 2021, "A practical sparse
    approximation for real time recurrent learning".

    Examples:
      >>> cell, x = jaxrnn.elman(4), jnp.ones(2)
      >>> params = cell.init(jax.random.key(0), x)  # 28 numbers
      >>> for rule in (jaxrnn.online.snap1, jaxrnn.online.rtrl):  # numbers that each keeps
      ...     influence = rule(cell).init(params, x).influence
      ...     print(sum(leaf.size for leaf in jax.tree.leaves(influence)))
      28
      112
    """
    return build("snap1", cell, own_unit_rule())
