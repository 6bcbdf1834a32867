"""Weights from and to the flat cuDNN vector that `jax.experimental.rnn.lstm` takes."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import check_size
from jaxrnn._core.types import Params
from jaxrnn.cells import LSTMParams
from jaxrnn.convert._arrays import as_numpy
from jaxrnn.convert._cell_layers import uniform_cell_layers
from jaxrnn.convert._gates import TwoBiases, join_biases, split_biases
from jaxrnn.convert._network import Network, chain, directed, unit


def from_cudnn(
    weights: Any,
    *,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    bidirectional: bool = False,
) -> Network:
    """An LSTM layer with the weights of a flat cuDNN vector.

    The vector does not record its sizes, so they are arguments, as for `jax.experimental.rnn.lstm`.
    The two biases of a cell are summed.

    Args:
      weights: the vector, (N,).
      input_size: I.
      hidden_size: H.
      num_layers: the number of layers.
      bidirectional: whether each layer is bidirectional.

    Returns:
      `Network`: the layer and its parameters.

    Raises:
      ValueError, TypeError: the length of the vector does not match the sizes, or a size is not a
        positive integer.

    Examples:
      >>> H, I = 4, 5
      >>> vector = np.zeros(4 * H * (I + H + 2), np.float32)  # (N,)
      >>> layer, params = jaxrnn.convert.from_cudnn(vector, input_size=I, hidden_size=H)
      >>> layer, params.kernel.shape
      (rnn(lstm(4)), (5, 16))
    """
    sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
    for name, size in sizes.items():
        check_size(name, size)
    directions = 2 if bidirectional else 1
    first, others = (
        4 * hidden_size * (width + hidden_size + 2)
        for width in (input_size, directions * hidden_size)
    )
    needed = directions * (first + (num_layers - 1) * others)
    weights = as_numpy("weights", weights)
    if weights.shape != (needed,):
        raise ValueError(
            f"`weights` must be one vector of {needed} numbers for {sizes} and {bidirectional=}, "
            f"got shape {weights.shape}. Was it made for other sizes?"
        )
    widths = [input_size] + [directions * hidden_size] * (num_layers - 1)
    shapes = _shapes(np.repeat(widths, directions), hidden_size)
    cells = [join_biases(cell, LSTMParams) for cell in _divide(weights, shapes)]
    layers = zip(*(cells[d::directions] for d in range(directions)), strict=True)
    return chain(directed(map(unit, layer)) for layer in layers)


def to_cudnn(params: Params) -> jax.Array:
    """The flat cuDNN vector with these parameters, for `jax.experimental.rnn.lstm`.

    Args:
      params: `LSTMParams`, a `BidirectionalParams` of two of them, or a tuple of either, as in
        `jaxrnn.stack`. A bidirectional layer must use ``merge="concat"``.

    Returns:
      The vector (N,): all matrices, then all biases. The second bias of each cell is zero.

    Raises:
      ValueError, TypeError: the network cannot be converted. Only LSTMs are supported.

    Examples:
      >>> layer = jaxrnn.bidirectional(jaxrnn.lstm(4))
      >>> params = layer.init(jax.random.key(0), jnp.zeros((7, 3, 5)))
      >>> jaxrnn.convert.to_cudnn(params).shape  # 2 directions, 4H (I + H + 2) each
      (352,)
    """
    layers = uniform_cell_layers("a cuDNN LSTM", (LSTMParams,), params, fill=True)
    cells = [split_biases(cell) for layer in layers for cell in layer]
    matrices = [m.T for cell in cells for m in (cell.kernel, cell.recurrent_kernel)]
    biases = [b for cell in cells for b in (cell.bias, cell.recurrent_bias)]
    return jnp.array(np.concatenate([array.ravel() for array in matrices + biases]))


def _shapes(widths, hidden_size):
    """The shapes of all arrays in order, given an input width for each direction of each layer."""
    rows = 4 * hidden_size
    matrices = [shape for width in widths for shape in ((rows, width), (rows, hidden_size))]
    return matrices + [(rows,)] * len(matrices)


def _divide(weights, shapes) -> Iterator[TwoBiases]:
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    parts = np.split(weights, ends[:-1])
    arrays = [part.reshape(shape).T for part, shape in zip(parts, shapes, strict=True)]
    matrices, biases = arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :]
    return map(TwoBiases, matrices[::2], matrices[1::2], biases[::2], biases[1::2])
