"""Weights from and to Keras 3: recurrent layers, and models of them."""

from typing import Any

import numpy as np

from jaxrnn._core.types import Params
from jaxrnn.activations import Activation
from jaxrnn.cells import ConvLSTMParams
from jaxrnn.convert._cell_layers import cell_layers
from jaxrnn.convert._feedforward import checked_dense, checked_embed, entries_of
from jaxrnn.convert._gates import GATES
from jaxrnn.convert._keras_layers import layer_parts
from jaxrnn.convert._keras_model import layers_of
from jaxrnn.convert._keras_weights import written_cell
from jaxrnn.convert._network import Network, chain
from jaxrnn.layers import DenseParams, EmbedParams


def from_keras(source: Any, *, activation: Activation | None = None) -> Network:
    """A layer with the weights of Keras layers.

    The layer always returns the final carry and the time-first outputs of all steps, regardless of
    `return_sequences` and `return_state`; a Dense after a layer without `return_sequences` is
    applied to all steps, too. Dropout within a cell is omitted, a Dropout layer becomes a
    `jaxrnn.dropout`. Masks are not part of the weights: pass ``mask=`` in place of `mask_zero` or a
    Masking layer.

    Args:
      source: a built LSTM, GRU, SimpleRNN, ConvLSTM1D to 3D with ``padding="same"``, Bidirectional,
        RNN of an LSTMCell, GRUCell, SimpleRNNCell or StackedRNNCells of these, Dense,
        TimeDistributed(Dense), Embedding or Dropout; a Sequential or functional model of them,
        models in models included, whose layers form a chain; or a sequence of any of these. A
        mapping of arrays, ``{"kernel": ..., "recurrent_kernel": ..., "bias": ...}``, can stand for
        a recurrent layer. A flat bias, (6H,) of a GRU or (8H,) of an LSTM, shows that the arrays
        are of a CuDNNGRU or CuDNNLSTM of Keras 2, which stores its kernels transposed.
      activation: the activation of a SimpleRNN. None means the activation of the layer, or tanh if
        only arrays are given.

    Returns:
      `Network`: the layer and its parameters.

    Raises:
      ValueError, TypeError: a layer is of another kind, is not built, has `go_backwards`, does not
        read the one before it, or has an activation that jaxrnn lacks; or a weight is missing or
        unexpected, or has the wrong shape or dtype.

    Examples:
      >>> arrays = {  # of a `keras.layers.GRU(4)`
      ...     "kernel": np.zeros((5, 12), np.float32),
      ...     "recurrent_kernel": np.zeros((4, 12), np.float32),
      ...     "bias": np.zeros((2, 12), np.float32),
      ... }
      >>> jaxrnn.convert.from_keras(arrays).layer
      rnn(gru(4))
    """
    layers = layers_of(source)
    last = len(layers) - 1
    parts = [layer_parts(layer, activation, is_last=i == last) for i, layer in enumerate(layers)]
    return chain(part for found in parts for part in found)


def to_keras(params: Params) -> list[np.ndarray]:
    """The weights of Keras layers with these parameters, for ``layer.set_weights(...)``.

    Args:
      params: `LSTMParams`, `GRUParams` (for ``reset_after=True``, the Keras default),
        `ResetBeforeGRUParams` (for ``reset_after=False``), `ElmanParams` or `ConvLSTMParams`
        without peepholes, a `BidirectionalParams` of two of them, `DenseParams` or `EmbedParams`,
        or a tuple of any, as in `jaxrnn.stack`. Layers without parameters, such as
        `jaxrnn.dropout`, are left out.

    Returns:
      The arrays in the order of `set_weights` of a layer, or, for a tuple, of a Sequential. Without
      biases, they are of a layer with ``use_bias=False``.

    Raises:
      ValueError, TypeError: Keras has no such layer, or the shapes are inconsistent.

    Examples:
      >>> layer = jaxrnn.stack(jaxrnn.rnn(jaxrnn.lstm(4)), jaxrnn.dropout(0.1), jaxrnn.dense(2))
      >>> params = layer.init(jax.random.key(0), jnp.zeros((7, 3, 5)))
      >>> weights = jaxrnn.convert.to_keras(params)  # for `sequential.set_weights`
      >>> [array.shape for array in weights]
      [(5, 16), (4, 16), (16,), (4, 2), (2,)]
    """
    return [array for i, entry in enumerate(entries_of(params)) for array in _written(i, entry)]


def _written(i: int, entry: Params) -> list[np.ndarray]:
    if isinstance(entry, DenseParams):
        return [array for array in checked_dense(entry) if array is not None]
    if isinstance(entry, EmbedParams):
        return list(checked_embed(entry))
    (layer,) = cell_layers("Keras", (*GATES, ConvLSTMParams), entry, first=i)
    return [array for cell in layer for array in written_cell(cell)]
