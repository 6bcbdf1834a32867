"""Weights from and to `equinox.nn.LSTMCell` and `equinox.nn.GRUCell`."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import describe
from jaxrnn._core.types import Params
from jaxrnn.cells import GRUParams, LSTMParams
from jaxrnn.convert._arrays import all_numpy, check_matrix, check_names, check_shapes, count_gates
from jaxrnn.convert._cell_layers import one_way_cell_layers
from jaxrnn.convert._gates import CellParams
from jaxrnn.convert._network import Network, chain, one_way, unit

_PEER = "an Equinox LSTMCell or GRUCell"


def from_equinox(source: Any) -> Network:
    """A layer with the weights of an Equinox cell, or of several cells in sequence.

    A cell with ``use_bias=False`` gives a cell without biases, and the reverse.

    Args:
      source: an `equinox.nn.LSTMCell` or `GRUCell`, a mapping of its arrays by name, or a sequence
        of either, first layer first.

    Returns:
      `Network`: the layer and its parameters.

    Raises:
      ValueError, TypeError: a weight is missing or unexpected, or has the wrong shape or dtype.

    Examples:
      >>> arrays = {
      ...     "weight_ih": np.zeros((16, 5), np.float32),
      ...     "weight_hh": np.zeros((16, 4), np.float32),
      ...     "bias": np.zeros(16, np.float32),
      ... }
      >>> layer, params = jaxrnn.convert.from_equinox(arrays)
      >>> layer, params.kernel.shape
      (rnn(lstm(4)), (5, 16))
    """
    cells = source if isinstance(source, Sequence) and not isinstance(source, str) else [source]
    return chain(one_way(unit(_read(cell))) for cell in cells)


def to_equinox(params: Params) -> Any:
    """The Equinox cell with these parameters, or a tuple of cells.

    Args:
      params: `LSTMParams` or `GRUParams`, or a tuple of them, as in `jaxrnn.stack`.

    Returns:
      An `equinox.nn.LSTMCell` or `GRUCell`; for a tuple, a tuple of them.

    Raises:
      ValueError, TypeError: Equinox has no such cell, or a layer is bidirectional.

    Examples:
      >>> params = jaxrnn.lstm(4).init(jax.random.key(0), jnp.zeros((3, 5)))
      >>> cell = jaxrnn.convert.to_equinox(params)  # an `equinox.nn.LSTMCell`
      >>> cell.input_size, cell.hidden_size, cell.weight_ih.shape
      (5, 4, (16, 5))
    """
    found = one_way_cell_layers("Equinox", (LSTMParams, GRUParams), params)
    cells = tuple(map(_make, found))
    return cells if type(params) is tuple else cells[0]


def _read(source: Any) -> CellParams:
    arrays = all_numpy(source if isinstance(source, Mapping) else _fields(source))
    check_names(_PEER, arrays, ["weight_ih", "weight_hh"], optional=["bias", "bias_n"])
    for name in ("weight_ih", "weight_hh"):
        check_matrix(name, arrays[name])
    rows, hidden_size = arrays["weight_hh"].shape
    gates = count_gates("weight_hh", rows, hidden_size, {4, 3})
    shapes = {"weight_ih": (rows, arrays["weight_ih"].shape[1]), "bias": (rows,)}
    biases = {"bias": (rows,), "bias_n": (hidden_size,)} if gates == 3 else {"bias": (rows,)}
    if "bias" in arrays or "bias_n" in arrays:
        check_names(_PEER, arrays, ["weight_ih", "weight_hh", *biases])
    check_shapes(arrays, {**shapes, **biases})
    cell = GRUParams if gates == 3 else LSTMParams
    return cell(arrays["weight_ih"].T, arrays["weight_hh"].T, *map(arrays.get, biases))


def _fields(cell):
    """The arrays of a cell by name, without the biases that are None."""
    names = ("weight_ih", "weight_hh", "bias", "bias_n")
    if not all(hasattr(cell, name) for name in names[:2]):
        raise TypeError(f"`source` must be {_PEER}, or a sequence of them, got {describe(cell)}.")
    return {name: a for name in names if (a := getattr(cell, name, None)) is not None}


def _make(params: CellParams) -> Any:
    import equinox as eqx

    kind = eqx.nn.LSTMCell if isinstance(params, LSTMParams) else eqx.nn.GRUCell
    sizes = len(params.kernel), len(params.recurrent_kernel)
    use_bias = params.bias is not None
    empty = eqx.filter_eval_shape(
        lambda key: kind(*sizes, use_bias=use_bias, key=key), jax.random.key(0)
    )
    values = {"weight_ih": params.kernel.T, "weight_hh": params.recurrent_kernel.T}
    if use_bias:
        values["bias"] = params.bias
    if use_bias and isinstance(params, GRUParams):
        values["bias_n"] = params.recurrent_bias
    arrays = [jnp.array(value) for value in values.values()]
    return eqx.tree_at(lambda cell: [getattr(cell, name) for name in values], empty, arrays)
