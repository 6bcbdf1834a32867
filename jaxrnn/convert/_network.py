"""Networks: layers built from the parameters of their cells."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.types import Cell, Layer, Params
from jaxrnn.activations import Activation
from jaxrnn.cells import (
    ConvLSTMParams,
    CoupledLSTMParams,
    ElmanParams,
    GRUParams,
    LSTMParams,
    PeepholeLSTMParams,
    ProjectedLSTMParams,
    ResetBeforeGRUParams,
    conv_lstm,
    coupled_lstm,
    elman,
    gru,
    lstm,
    peephole_lstm,
    projected_lstm,
)
from jaxrnn.convert._arrays import check_one_dtype
from jaxrnn.convert._gates import CellParams
from jaxrnn.layers import BidirectionalParams, bidirectional, rnn, stack

ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}
_CONSTRUCTORS = {
    LSTMParams: lstm,
    GRUParams: gru,
    ResetBeforeGRUParams: gru,
    ElmanParams: elman,
    PeepholeLSTMParams: peephole_lstm,
    CoupledLSTMParams: coupled_lstm,
}


class Network(NamedTuple):
    """A layer and its parameters, as returned by every ``from_X``.

    Attributes:
      layer: a `jaxrnn.rnn`, a `jaxrnn.bidirectional`, or a `jaxrnn.stack` of several of them; in a
        larger network also a `jaxrnn.dense`, `jaxrnn.embed` or `jaxrnn.dropout`.
      params: the parameters of the layer, on the default device, in their original dtype.
    """

    layer: Layer
    params: Params


class Unit(NamedTuple):
    """A cell and its parameters."""

    cell: Cell
    params: Params  # JAX arrays
    inputs: int  # the number of input features
    outputs: int  # the number of output features


class Part(NamedTuple):
    """One layer of a network."""

    layer: Layer
    params: Params
    inputs: int | None  # the number of input features; 0 for symbols, None for any number
    outputs: int | None  # the number of output features; None for as many as it reads
    label: str = ""  # what the other library calls it


def unit(params: CellParams, **options: Any) -> Unit:
    """The cell with these parameters and options, such as activations in place of the usual."""
    sizes = params.kernel.shape[-2], params.recurrent_kernel.shape[-2]
    return Unit(_cell(params, options), as_jax(params), *sizes)


def usual_unit(params: CellParams, activation: Activation) -> Unit:
    """`unit` with the usual gates; `activation` is of a vanilla RNN."""
    return unit(params, **({"activation": activation} if isinstance(params, ElmanParams) else {}))


def one_way(unit: Unit, *, reverse: bool = False, label: str = "") -> Part:
    """A unidirectional layer."""
    layer = rnn(unit.cell, reverse=reverse)
    return Part(layer, unit.params, unit.inputs, unit.outputs, label)


def two_way(forward: Unit, backward: Unit, *, merge: str = "concat", label: str = "") -> Part:
    """A bidirectional layer."""
    inputs, outputs = ([getattr(u, n) for u in (forward, backward)] for n in ("inputs", "outputs"))
    if len(set(inputs)) > 1 or (merge != "concat" and len(set(outputs)) > 1):
        raise ValueError(
            f"{label or 'A layer'}: its directions expect {inputs} features and return {outputs}, "
            f"which is inconsistent for {merge=}. Do they belong to the same layer?"
        )
    layer = bidirectional(forward.cell, backward.cell, merge=merge)
    params = BidirectionalParams(forward.params, backward.params)
    width = sum(outputs) if merge == "concat" else outputs[0]
    return Part(layer, params, inputs[0], width, label)


def directed(units: Iterable[Unit], *, label: str = "") -> Part:
    """`one_way` of one cell, or `two_way` of two."""
    forward, *backward = units
    if backward:
        return two_way(forward, *backward, label=label)
    return one_way(forward, label=label)


def chain(parts: Iterable[Part]) -> Network:
    """Layers in sequence: a single layer, or a stack of several."""
    parts = list(parts)
    _check_widths(parts)
    check_one_dtype(jax.tree.leaves([part.params for part in parts]))
    if len(parts) == 1:
        return Network(parts[0].layer, parts[0].params)
    return Network(stack(*(part.layer for part in parts)), tuple(part.params for part in parts))


def _check_widths(parts: Sequence[Part]) -> None:
    """Raises unless each layer reads as many features as the layer before it returns."""
    source, width = None, None
    for i, part in enumerate(parts):
        name = part.label or f"Layer {i}"
        if None not in (width, part.inputs) and width != part.inputs:
            expected = f"{part.inputs} features" if part.inputs else "symbols"
            reader = name if part.label else name.lower()
            raise ValueError(
                f"{source} returns {width} features, but {reader} expects {expected}. Is a layer "
                "or a direction missing, or are the layers out of order?"
            )
        if part.outputs is not None:
            source, width = name, part.outputs


def _cell(params: CellParams, given: dict[str, Any]) -> Cell:
    options = {"use_bias": False} if params.bias is None else {}
    if isinstance(params, ProjectedLSTMParams):
        return projected_lstm(*params.projection.shape, **options)
    options |= given
    if isinstance(params, ConvLSTMParams):
        *kernel_size, features, _ = params.recurrent_kernel.shape
        return conv_lstm(features, tuple(kernel_size), **options)
    if isinstance(params, ResetBeforeGRUParams):
        options["reset_after"] = False
    if isinstance(params, CoupledLSTMParams) and params.peephole is not None:
        options["use_peepholes"] = True
    return _CONSTRUCTORS[type(params)](len(params.recurrent_kernel), **options)


def as_jax(params: Params) -> Params:
    """`params` as JAX arrays. Raises if JAX would narrow them."""
    arrays = jax.tree.leaves(params)
    if any(array.dtype == np.float64 for array in arrays) and not jax.config.jax_enable_x64:
        raise TypeError(
            "The weights are float64, which JAX would narrow to float32. Cast them to float32 "
            'first, or call `jax.config.update("jax_enable_x64", True)`.'
        )
    return jax.tree.map(jnp.array, params)
