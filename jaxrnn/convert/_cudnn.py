"""Weights from and to the flat vector of cuDNN, as `jax.experimental.rnn.lstm` takes it."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._checks import check_size
from jaxrnn._types import Params
from jaxrnn.cells import LSTMParams
from jaxrnn.convert._arrays import as_numpy
from jaxrnn.convert._gates import TwoBiases, join_biases, split_biases
from jaxrnn.convert._levels import uniform_levels
from jaxrnn.convert._network import Network, chain, directed


def from_cudnn(
    weights: Any,
    *,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    bidirectional: bool = False,
) -> Network:
    """An LSTM layer with the weights of a flat vector of cuDNN.

    The vector does not tell its sizes, so they are given, as to `jax.experimental.rnn.lstm`. Two
    biases become one, their sum.

    Args:
      weights: all of them, (N,).
      input_size: I.
      hidden_size: H.
      num_layers: the depth.
      bidirectional: whether each layer has two directions.

    Returns:
      `Network`: the layer and its params.

    Raises:
      ValueError, TypeError: the vector has another length than these sizes need, or a size is not a
        positive integer.
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
            f"got shape {weights.shape}. Are these the sizes that it was made for?"
        )
    widths = [input_size] + [directions * hidden_size] * (num_layers - 1)
    shapes = _shapes(np.repeat(widths, directions), hidden_size)
    cells = [join_biases(cell, LSTMParams) for cell in _divide(weights, shapes)]
    levels = zip(*(cells[d::directions] for d in range(directions)), strict=True)
    return chain(directed(level, jnp.tanh) for level in levels)


def to_cudnn(params: Params) -> jax.Array:
    """The flat vector of cuDNN with these parameters, for `jax.experimental.rnn.lstm`.

    Args:
      params: `LSTMParams`, the `BidirectionalParams` of two of them, or a tuple of either, as of
        `jaxrnn.stack`. A two-way layer must join by ``"concat"``.

    Returns:
      The vector (N,): all matrices, then all biases; of two biases, the second is zero.

    Raises:
      ValueError, TypeError: cuDNN has no such network; of all cells, it has the LSTM here.
    """
    levels = uniform_levels("cuDNN here", (LSTMParams,), params)
    cells = [split_biases(cell) for level in levels for cell in level]
    matrices = [m.T for cell in cells for m in (cell.kernel, cell.recurrent_kernel)]
    biases = [b for cell in cells for b in (cell.bias, cell.recurrent_bias)]
    return jnp.array(np.concatenate([array.ravel() for array in matrices + biases]))


def _shapes(widths, hidden_size):
    """Of each array, in order; a width for each direction of each layer."""
    rows = 4 * hidden_size
    matrices = [shape for width in widths for shape in ((rows, width), (rows, hidden_size))]
    return matrices + [(rows,)] * len(matrices)


def _divide(weights, shapes) -> Iterator[TwoBiases]:
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    parts = np.split(weights, ends[:-1])
    arrays = [part.reshape(shape).T for part, shape in zip(parts, shapes, strict=True)]
    matrices, biases = arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :]
    return map(TwoBiases, matrices[::2], matrices[1::2], biases[::2], biases[1::2])
