"""What runs each cell of a model, and why."""

from typing import Any

import jax

from jaxrnn._core.checks import example
from jaxrnn._core.context import taken
from jaxrnn._core.events import recording
from jaxrnn._core.timed import inputs_of
from jaxrnn._core.types import Cell, Layer, Params, check_cell
from jaxrnn.engines._contract import check_params_of
from jaxrnn.engines._table import Explanation
from jaxrnn.engines._unroll import Arguments, Choices, check_choices, plan
from jaxrnn.engines.newton._options import Newton


class Explanations(tuple):
    """An `Explanation` for each cell of a layer, in the order in which they run."""

    __slots__ = ()

    def __str__(self):
        return "\n".join(map(str, self))


def explain(
    cell: Cell | Layer,
    xs: Any,
    *,
    params: Params | None = None,
    context: Any = None,
    implementation: str | Newton | None = None,
    verbose: bool = False,
) -> Explanation | Explanations:
    """Says which engine runs a cell, or each cell of a layer, and why not the others.

    Args:
      cell: a cell or a layer.
      xs: inputs (T, ..., I), or only their shapes.
      params: its parameters, or only their shapes; None means those that its `init` makes.
      context: as in `jaxrnn.unroll`.
      implementation: for a cell, as in `jaxrnn.unroll`. The cells of a layer have their own.
      verbose: whether ``program`` tells what the native kernels do at each step: the operations
        and the registers of their programs.

    Returns:
      An `Explanation` with ``implementation``, the name of the engine, ``reasons``, what is to be
      said of each engine, and ``program``; for a layer a tuple with one for each cell. `print`
      shows them. Where native kernels could run a cell but were not built, the reason says how to
      get them.

    Raises:
      ValueError, TypeError: an argument does not fit the others, or `implementation` is unknown or
        cannot run the cell.

    Examples:
      >>> xs = jax.ShapeDtypeStruct((100, 32, 4), jnp.float32)  # (T, B, I)
      >>> found = jaxrnn.explain(jaxrnn.lstm(8), xs, implementation="scan")
      >>> found.implementation, sorted(found.reasons)
      ('scan', ['associative', 'cudnn', 'native', 'newton', 'pallas', 'scan', 'xla'])
      >>> found.reasons["associative"]
      'the cell is not linear: ...'
      >>> model = jaxrnn.stack(jaxrnn.rnn(jaxrnn.lstm(8)), jaxrnn.rnn(jaxrnn.lru(8)))
      >>> [explanation.cell for explanation in jaxrnn.explain(model, xs)]
      [lstm(8), lru(8)]
    """
    if isinstance(cell, Layer):
        found = _explain_layer(cell, xs, params, context)
        return Explanations(_shown(explanation, verbose) for explanation in found)
    check_cell(cell)
    choices = Choices(implementation=implementation)
    check_choices(cell, choices)
    xs = inputs_of(cell, xs)
    if params is None:
        params = jax.eval_shape(cell.init, jax.random.key(0), example(xs))
    check_params_of(cell, params, example(xs))
    context = taken(cell, params, context)
    found, _ = plan(cell, choices, Arguments(params, None, xs, None, None, context))
    return _shown(found, verbose)


def _shown(explanation, verbose):
    return explanation._replace(program=explanation.program() if verbose else "")


def _explain_layer(layer, xs, params, context):
    def run(params, xs, context):
        return layer.apply(params, None, xs, context=context)

    if params is None:
        params = jax.eval_shape(lambda xs: layer.init(jax.random.key(0), xs), xs)
    with recording() as events:
        jax.eval_shape(run, params, xs, context)
    return [event for event in events if isinstance(event, Explanation)]
