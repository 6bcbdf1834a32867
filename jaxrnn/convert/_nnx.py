"""Weights from and to the recurrent modules of Flax nnx."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import describe
from jaxrnn._core.types import Params
from jaxrnn.activations import Activation
from jaxrnn.cells import GRUParams
from jaxrnn.convert._cell_layers import cell_layers
from jaxrnn.convert._flax import FLAX_CELLS, nnx_paths, read_layers, within, written
from jaxrnn.convert._network import Network


def from_nnx(source: Any, *, activation: Activation | None = None) -> Network:
    """A layer with the weights of Flax nnx modules.

    The GRU of nnx has no recurrent bias of n, so `recurrent_bias` is zero.

    Args:
      source: an `nnx.RNN` of an LSTMCell, OptimizedLSTMCell, GRUCell or SimpleCell, an
        `nnx.Bidirectional` of two RNNs, an `nnx.Sequential` of either, or a cell; or the state of
        one of these.
      activation: the activation of a SimpleCell. None means the activation of the module, or tanh
        if only its state is given.

    Returns:
      `Network`: the layer and its parameters.

    Raises:
      ValueError, TypeError: a module has other activations, `reverse` or another `merge_fn`; or a
        weight is missing or unexpected, or has the wrong shape or dtype.

    Examples:
      >>> i = {"kernel": np.zeros((5, 12), np.float32), "bias": np.zeros(12, np.float32)}
      >>> h = {"kernel": np.zeros((4, 12), np.float32)}
      >>> state = {"cell": {"dense_i": i, "dense_h": h}}  # of an `nnx.RNN` of a GRUCell
      >>> layer, params = jaxrnn.convert.from_nnx(state)
      >>> layer, params.recurrent_bias.tolist()
      (rnn(gru(4)), [0.0, 0.0, 0.0, 0.0])
    """
    tree, found = (source, None) if type(source) is dict else _state(source)
    layers = within("layers", tree) if "layers" in tree else {0: tree}
    ordered = [layers[i] for i in sorted(layers, key=int)]
    return read_layers(ordered, activation or found or jnp.tanh)


def to_nnx(params: Params) -> dict[str, Any]:
    """The state of Flax nnx modules with these parameters, for ``nnx.update(module, ...)``.

    Args:
      params: `LSTMParams`, `GRUParams` with a `recurrent_bias` of zeros, or `ElmanParams`, a
        `BidirectionalParams` of two of them, or a tuple of either, as in `jaxrnn.stack`.

    Returns:
      A nested dict for an `nnx.RNN` of an OptimizedLSTMCell, GRUCell or SimpleCell, for an
      `nnx.Bidirectional` of two RNNs, or, for a tuple, for an `nnx.Sequential` of either.

    Raises:
      ValueError, TypeError: nnx has no such cell, or the shapes are inconsistent.

    Examples:
      >>> params = jaxrnn.elman(4).init(jax.random.key(0), jnp.zeros((3, 5)))
      >>> state = jaxrnn.convert.to_nnx(params)
      >>> jax.tree.map(jnp.shape, state)
      {'cell': {'dense_h': {'kernel': (4, 4)}, 'dense_i': {'bias': (4,), 'kernel': (5, 4)}}}
    """
    found = cell_layers("Flax nnx", FLAX_CELLS, params, fill=True)
    for layer in found:
        for cell in layer:
            if isinstance(cell, GRUParams) and cell.recurrent_bias.any():
                raise ValueError(
                    "`recurrent_bias` is not zero, but the GRUCell of nnx has no such bias, and no "
                    "other bias can replace it. The GRUCell of linen has one: use `to_linen`."
                )
    layers = [written(layer, nnx_paths) for layer in found]
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
        raise ValueError("All SimpleCells must have the same activation. Convert them one by one.")
    return nnx.to_pure_dict(nnx.state(source, nnx.Param)), next(iter(found), None)


def _check_options(module: Any) -> None:
    """Raises if a module has an option that no jaxrnn layer has."""
    usual = {"gate_fn": jax.nn.sigmoid, "residual": False, "reverse": False}
    if hasattr(module, "gate_fn"):
        usual["activation_fn"] = jnp.tanh
    for name, value in usual.items():
        if getattr(module, name, value) is not value:
            raise ValueError(
                f"`{name}` of {type(module).__name__} must be {value!r}, got "
                f"{getattr(module, name)!r}."
            )
    merge = getattr(module, "merge_fn", None)
    if merge is not None and merge.__name__ != "_concatenate":
        raise ValueError(
            "`merge_fn` of an nnx.Bidirectional must be the default, which concatenates. Convert "
            "`forward_rnn` and `backward_rnn` separately."
        )
