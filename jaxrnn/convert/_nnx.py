"""Weights from and to the recurrent modules of Flax nnx."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._checks import describe
from jaxrnn._types import Params
from jaxrnn.cells import GRUParams
from jaxrnn.convert._flax import FLAX_CELLS, nnx_paths, read_layers, within, written
from jaxrnn.convert._levels import levels
from jaxrnn.convert._network import Activation, Network


def from_nnx(source: Any, *, activation: Activation | None = None) -> Network:
    """A layer with the weights of Flax nnx modules.

    The GRU of nnx has no recurrent bias of n: here it is zero.

    Args:
      source: an `nnx.RNN` of an LSTMCell, OptimizedLSTMCell, GRUCell or SimpleCell, an
        `nnx.Bidirectional` of two, an `nnx.Sequential` of either, or the cell itself; or its state.
      activation: of a SimpleCell. None means that of the module; tanh where there is only a state.

    Returns:
      `Network`: the layer and its params.

    Raises:
      ValueError, TypeError: a module has other functions in its gates, reads in reverse or joins
        its directions otherwise; a weight is missing, too many, or of a wrong shape or dtype.
    """
    tree, found = (source, None) if type(source) is dict else _state(source)
    layers = within("layers", tree) if "layers" in tree else {0: tree}
    ordered = [layers[i] for i in sorted(layers, key=int)]
    return read_layers(ordered, activation or found or jnp.tanh)


def to_nnx(params: Params) -> dict[str, Any]:
    """The state of Flax nnx modules with these parameters: ``nnx.update(module, ...)``.

    Args:
      params: `LSTMParams`, `GRUParams` with a `recurrent_bias` of zeros, or `ElmanParams`, the
        `BidirectionalParams` of two of them, or a tuple of either, as of `jaxrnn.stack`.

    Returns:
      A nested dict for an `nnx.RNN` of an OptimizedLSTMCell, GRUCell or SimpleCell, an
      `nnx.Bidirectional` of two, or, for a tuple, an `nnx.Sequential` of either.

    Raises:
      ValueError, TypeError: nnx has no such cell, or the shapes do not fit each other.
    """
    found = levels("Flax nnx", FLAX_CELLS, params)
    for level in found:
        for cell in level:
            if isinstance(cell, GRUParams) and cell.recurrent_bias.any():
                raise ValueError(
                    "`recurrent_bias` is not zero, and the GRUCell of nnx has no bias inside the "
                    "product with the reset gate: it would be lost, and no other bias can take its "
                    "place. The GRUCell of linen has one: `to_linen`."
                )
    layers = [written(level, nnx_paths) for level in found]
    return {"layers": dict(enumerate(layers))} if type(params) is tuple else layers[0]


def _state(source: Any) -> tuple[dict, Activation | None]:
    """The arrays of a module or a state by name, and the activation of its SimpleCells, if any."""
    from flax import nnx

    if isinstance(source, nnx.State):
        return nnx.to_pure_dict(source), None
    if not isinstance(source, nnx.Module):
        raise TypeError(f"`source` must be an nnx module or its state, got {describe(source)}.")
    modules = [module for _, module in nnx.iter_modules(source)]
    for module in modules:
        _check_options(module)
    found = {cell.activation_fn for cell in modules if isinstance(cell, nnx.SimpleCell)}
    if len(found) > 1:
        raise ValueError("The SimpleCells must have one activation. Convert them one by one.")
    return nnx.to_pure_dict(nnx.state(source, nnx.Param)), next(iter(found), None)


def _check_options(module: Any) -> None:
    """Raises where a module does what no layer here does."""
    usual = {"gate_fn": jax.nn.sigmoid, "residual": False, "reverse": False}
    if hasattr(module, "gate_fn"):
        usual["activation_fn"] = jnp.tanh
    for name, value in usual.items():
        if getattr(module, name, value) is not value:
            raise ValueError(
                f"`{name}` of {type(module).__name__} is {getattr(module, name)!r}, and here only "
                f"{value!r} can be converted."
            )
    merge = getattr(module, "merge_fn", None)
    if merge is not None and merge.__name__ != "_concatenate":
        raise ValueError(
            "`merge_fn` of an nnx.Bidirectional must be that of Flax, which concatenates. Convert "
            "`forward_rnn` and `backward_rnn` one by one."
        )
