"""A summary table of a model's layers."""

import math
from typing import Any, NamedTuple

import jax

from jaxrnn._core.checks import describe
from jaxrnn._core.entry import LayerCall
from jaxrnn._core.events import recording
from jaxrnn._core.types import Layer, Params, check_layer


class Row(NamedTuple):
    """One layer of a model."""

    layer: str  # the call that made it
    outputs: str  # shapes and dtypes
    parameters: int  # number of parameters
    bytes: int  # of the parameters


class Summary(NamedTuple):
    """What `jaxrnn.summary` returns; `print` shows it as a table."""

    rows: list[Row]  # the innermost layers, in the order in which they run
    total: Row  # the model

    def __str__(self):
        return _table([*self.rows, self.total])


def summary(model: Layer, xs: Any, *, context: Any = None) -> Summary:
    """A table of a model's layers: outputs, parameters and bytes. It only traces shapes.

    Args:
      model: a layer.
      xs: inputs (T, ..., I), or only their shapes and dtypes.
      context: as in `jaxrnn.unroll`, for a model that reads one.

    Returns:
      A `Summary`. Layers made of other layers are shown as their parts.

    Raises:
      TypeError: `model` is not a `Layer`.

    Examples:
      >>> model = jaxrnn.stack(jaxrnn.rnn(jaxrnn.lstm(8)), jaxrnn.dense(3))
      >>> print(jaxrnn.summary(model, jax.ShapeDtypeStruct((50, 32, 4), jnp.float32)))
      layer         outputs             parameters  bytes
      ---------------------------------------------------
      rnn(lstm(8))  float32(50, 32, 8)         416  1,664
      dense(3)      float32(50, 32, 3)          27    108
      ---------------------------------------------------
      total         float32(50, 32, 3)         443  1,772
    """
    check_layer("`model`", model)

    def run(xs, context):
        params = model.init(jax.random.key(0), xs)
        _, ys = model.apply(params, None, xs, context=context)
        return params, ys

    with recording() as events:
        params, ys = jax.eval_shape(run, xs, context)
    calls = [event for event in events if isinstance(event, LayerCall)]
    rows = [_row(_name(call.layer), call.params, call.ys) for call in calls if call.is_innermost]
    return Summary(rows, _row("total", params, ys))


def _name(layer):
    """The call that made the layer, or the name of a function such as `pool_last`."""
    return getattr(layer, "__name__", repr(layer))


def _row(name: str, params: Params, ys: Any) -> Row:
    leaves = jax.tree.leaves(params)
    sizes = [math.prod(leaf.shape) for leaf in leaves]
    num_bytes = sum(n * leaf.dtype.itemsize for n, leaf in zip(sizes, leaves, strict=True))
    return Row(name, ", ".join(map(describe, jax.tree.leaves(ys))), sum(sizes), num_bytes)


def _table(rows):
    head = ("layer", "outputs", "parameters", "bytes")
    cells = [head, *((r.layer, r.outputs, f"{r.parameters:,}", f"{r.bytes:,}") for r in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(4)]
    lines = [
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}"
        for a, b, c, d in cells
    ]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])
