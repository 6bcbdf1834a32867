"""Weights from and to the recurrent modules of Flax linen."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from jaxrnn._core.types import Params
from jaxrnn.activations import Activation
from jaxrnn.cells import ConvLSTMParams
from jaxrnn.convert._arrays import check_mapping
from jaxrnn.convert._cell_layers import cell_layers
from jaxrnn.convert._flax import FLAX_CELLS, linen_paths, read_layers, written
from jaxrnn.convert._network import Network


def from_linen(variables: Mapping, *, activation: Activation | None = None) -> Network:
    """A layer with the weights of Flax linen modules.

    Args:
      variables: the variables, or their ``"params"``, of an `nn.RNN` of an LSTMCell,
        OptimizedLSTMCell, GRUCell, SimpleCell or ConvLSTMCell, of an `nn.Bidirectional` of two
        RNNs, of an `nn.Sequential` of either, or of a cell. Of a ConvLSTMCell they do not record
        `strides` and `padding`, which must be the defaults. For a larger model, pass the entry of
        its recurrent module.
      activation: the activation of a SimpleCell. None means tanh.

    Returns:
      `Network`: the layer and its parameters.

    Raises:
      ValueError, TypeError: a weight is missing or unexpected, or has the wrong shape or dtype.

    Examples:
      >>> kernel, bias = np.zeros((5, 4), np.float32), np.zeros(4, np.float32)
      >>> cell = {"i": {"kernel": kernel, "bias": bias}, "h": {"kernel": kernel[:4]}}
      >>> variables = {"params": {"cell": cell}}  # of an `nn.RNN(nn.SimpleCell(4))`
      >>> jaxrnn.convert.from_linen(variables, activation=jax.nn.relu).layer
      rnn(elman(4, relu))
    """
    check_mapping(variables, "the variables of a Flax linen module")
    tree = variables.get("params", variables)
    indices = {name: name.removeprefix("layers_") for name in map(str, tree)}
    if tree and all(i.isdigit() for i in indices.values()):
        layers = [tree[name] for name in sorted(indices, key=lambda name: int(indices[name]))]
    else:
        layers = [tree]
    return read_layers(layers, activation or jnp.tanh)


def to_linen(params: Params) -> dict[str, Any]:
    """The variables of Flax linen modules with these parameters.

    Args:
      params: `LSTMParams`, `GRUParams`, `ElmanParams` or `ConvLSTMParams` without peepholes, a
        `BidirectionalParams` of two of them, or a tuple of either, as in `jaxrnn.stack`.

    Returns:
      ``{"params": ...}`` for an `nn.RNN` of an LSTMCell, OptimizedLSTMCell, GRUCell, SimpleCell or
      ConvLSTMCell, for an `nn.Bidirectional` of two RNNs, or, for a tuple, for an `nn.Sequential`
      of either.

    Raises:
      ValueError, TypeError: Flax has no such cell, or the shapes are inconsistent.

    Examples:
      >>> params = jaxrnn.lstm(4).init(jax.random.key(0), jnp.zeros((3, 5)))
      >>> variables = jaxrnn.convert.to_linen(params)  # for `nn.RNN(nn.LSTMCell(4))`
      >>> sorted(variables["params"]["cell"])
      ['hf', 'hg', 'hi', 'ho', 'if', 'ig', 'ii', 'io']
    """
    found = cell_layers("Flax", (*FLAX_CELLS, ConvLSTMParams), params, fill=True)
    layers = [written(layer, linen_paths) for layer in found]
    if type(params) is not tuple:
        return {"params": layers[0]}
    return {"params": {f"layers_{i}": layer for i, layer in enumerate(layers)}}
