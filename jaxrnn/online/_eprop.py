"""e-prop: eligibility traces, and the learning signal of the step."""

import jax

from jaxrnn._core.construction import recorded
from jaxrnn._core.types import Cell, check_cell
from jaxrnn.online._build import build
from jaxrnn.online._own_unit import own_unit_rule
from jaxrnn.online._types import OnlineCell


@recorded
def eprop(cell: Cell) -> OnlineCell:
    """Eligibility propagation (e-prop): a local trace for each parameter times a learning signal.

        e' = D e + I,    dL/dθ = dL/dh' e'

    A trace e belongs to a parameter and the unit that it feeds, and decays as this unit forgets: D
    is the derivative of the unit with respect to its own past within `update`, such as 1 - α of
    `jaxrnn.ctrnn`, the forget gate of `jaxrnn.lstm` or z of `jaxrnn.gru`. What passes through the
    recurrent kernel, `recur` of the cell, is left out, also from a unit to itself: that is the
    difference to `jaxrnn.online.snap1`, and it needs no product. The learning signal dL/dh' is that
    of the loss at the same step. The gradient is biased; without `recur`, it is that of `snap1`.

    It keeps as much as `snap1`, and a step costs a few backward passes of the cell, and N of
    `update` alone. Where `update` itself mixes units, so do the traces; see `snap1` for the cost.

    Args:
      cell: any `Cell` with a state equation. One that draws random numbers is deterministic, unless
        its inputs are `jaxrnn.Noisy`.

    Returns:
      An `OnlineCell`.

    Raises:
      ValueError, TypeError: `cell` is not a `Cell`, or comes from `jaxrnn.from_step`. Its `init`
        refuses cells with `jaxrnn.clip_carry_gradient`, and complex numbers.

    References: Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein and Maass, 2020, "A solution to
    the learning dilemma for recurrent networks of spiking neurons".

    Examples:
      >>> cell, x = jaxrnn.ctrnn(4), jnp.ones((3, 2))  # (B, I)
      >>> params = cell.init(jax.random.key(0), x)
      >>> state = jaxrnn.online.eprop(cell).init(params, x)
      >>> traces = sum(leaf.size for leaf in jax.tree.leaves(state.influence))
      >>> traces == 3 * sum(leaf.size for leaf in jax.tree.leaves(params))  # of each row
      True
    """
    check_cell(cell)

    def recur(params, carry):
        return cell.recur(params, jax.lax.stop_gradient(carry))

    return build("eprop", cell._replace(recur=recur), own_unit_rule())
