"""Networks: layers built from the parameters of their cells."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.types import Cell, Layer, Params
from jaxrnn.cells import (
    ElmanParams,
    GRUParams,
    LSTMParams,
    ProjectedLSTMParams,
    elman,
    gru,
    lstm,
    projected_lstm,
)
from jaxrnn.convert._arrays import check_one_dtype
from jaxrnn.convert._gates import CellParams
from jaxrnn.layers import BidirectionalParams, bidirectional, rnn, stack

Activation = Callable[[jax.Array], jax.Array]
ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}


class Network(NamedTuple):
    """A layer and its parameters, as returned by every ``from_X``.

    Attributes:
      layer: a `jaxrnn.rnn`, a `jaxrnn.bidirectional`, or a `jaxrnn.stack` of several of them.
      params: the parameters of the layer, on the default device, in their original dtype.
    """

    layer: Layer
    params: Params


class Part(NamedTuple):
    """One layer of a network."""

    layer: Layer
    params: Params
    inputs: int  # the number of input features
    outputs: int  # the number of output features


def one_way(params: CellParams, activation: Activation, *, reverse: bool = False) -> Part:
    """A unidirectional layer."""
    layer = rnn(_cell(params, activation), reverse=reverse)
    return Part(layer, _as_jax(params), len(params.kernel), len(params.recurrent_kernel))


def two_way(
    forward: CellParams, backward: CellParams, activation: Activation, *, merge: str = "concat"
) -> Part:
    """A bidirectional layer."""
    inputs, outputs = ([len(cell[i]) for cell in (forward, backward)] for i in (0, 1))
    if len(set(inputs)) > 1 or (merge != "concat" and len(set(outputs)) > 1):
        raise ValueError(
            f"The forward and backward directions expect {inputs} features and return {outputs}, "
            f"which is inconsistent for {merge=}. Do they belong to the same layer?"
        )
    cells = _cell(forward, activation), _cell(backward, activation)
    params = BidirectionalParams(_as_jax(forward), _as_jax(backward))
    width = sum(outputs) if merge == "concat" else outputs[0]
    return Part(bidirectional(*cells, merge=merge), params, inputs[0], width)


def directed(cells: Iterable[CellParams], activation: Activation) -> Part:
    """`one_way` of one cell, or `two_way` of two."""
    forward, *backward = cells
    return two_way(forward, *backward, activation) if backward else one_way(forward, activation)


def chain(parts: Iterable[Part]) -> Network:
    """Layers in sequence: a single layer, or a stack of several."""
    parts = list(parts)
    for i, (before, after) in enumerate(pairwise(parts)):
        if before.outputs != after.inputs:
            raise ValueError(
                f"Layer {i} returns {before.outputs} features, but layer {i + 1} expects "
                f"{after.inputs}. Is a layer or a direction missing, or are the layers out of "
                "order?"
            )
    check_one_dtype(jax.tree.leaves([part.params for part in parts]))
    if len(parts) == 1:
        return Network(parts[0].layer, parts[0].params)
    return Network(stack(*(part.layer for part in parts)), tuple(part.params for part in parts))


def _cell(params: CellParams, activation: Activation) -> Cell:
    if isinstance(params, ProjectedLSTMParams):
        return projected_lstm(*params.projection.shape)
    hidden_size = len(params.recurrent_kernel)
    if isinstance(params, LSTMParams):
        return lstm(hidden_size)
    if isinstance(params, ElmanParams):
        return elman(hidden_size, activation)
    return gru(hidden_size, reset_after=isinstance(params, GRUParams))


def _as_jax(params: CellParams) -> CellParams:
    """`params` as JAX arrays. Raises if JAX would narrow them."""
    if any(array.dtype == np.float64 for array in params) and not jax.config.jax_enable_x64:
        raise TypeError(
            "The weights are float64, which JAX would narrow to float32. Cast them to float32 "
            'first, or call `jax.config.update("jax_enable_x64", True)`.'
        )
    return type(params)(*(jnp.array(array) for array in params))
