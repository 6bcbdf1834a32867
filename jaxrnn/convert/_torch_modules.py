"""The modules of a torch network, in order."""

from collections.abc import Iterator
from typing import Any

from jaxrnn._core.checks import describe
from jaxrnn.activations import Activation
from jaxrnn.convert._arrays import all_numpy
from jaxrnn.convert._feedforward import dense_part, dropout_part, embed_part
from jaxrnn.convert._network import ACTIVATIONS, Part
from jaxrnn.convert._torch_weights import recurrent_parts

_RECURRENT = "LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"


def module_parts(module: Any, activation: Activation | None, name: str = "") -> Iterator[Part]:
    """The layers of `module`: of one that is known, or of its children, in order of definition.

    Args:
      module: a `torch.nn.Module`.
      activation: of its RNNs; None means their own.
      name: its name in the network, for error messages.
    """
    label = f"`{name}` ({type(module).__name__})" if name else ""
    if _is_a(module, *_RECURRENT):
        own = ACTIVATIONS[getattr(module, "nonlinearity", "tanh")]
        yield from recurrent_parts(_state(module, label), activation or own, label)
    elif _is_a(module, "Linear"):
        weights = _state(module, label, "weight", "bias")
        yield dense_part(weights["weight"].T, weights.get("bias"), label)
    elif _is_a(module, "Embedding"):
        _check_embedding(module, label)
        yield embed_part(_state(module, label, "weight")["weight"], label)
    elif _is_a(module, "Dropout"):
        yield dropout_part(module.p, label)
    elif not _is_a(module, "Identity"):
        _check_container(module, label)
        for child, inner in module._modules.items():
            if inner is not None:
                yield from module_parts(inner, activation, f"{name}.{child}" if name else child)


def _is_a(module: Any, *kinds: str) -> bool:
    """Whether `module` is an instance of one of these torch classes, without importing torch."""
    bases = type(module).__mro__
    return any(b.__name__ in kinds and b.__module__.startswith("torch.nn.") for b in bases)


def _state(module, label, *names):
    """The state dict of a module, which may have only these names if any are given."""
    arrays = all_numpy(module.state_dict())
    extra = sorted(set(arrays) - set(names)) if names else []
    if extra:
        raise ValueError(
            f"{label or describe(module)} has the unexpected weights {extra}. If they belong to a "
            "parametrization such as `weight_norm`, remove it first: "
            "`torch.nn.utils.parametrize.remove_parametrizations(module, name)`."
        )
    return arrays


def _check_embedding(module, label):
    if module.max_norm is not None:
        raise ValueError(
            f"{label or 'The Embedding'} has `max_norm`, which changes its table at each call. No "
            "jaxrnn layer does."
        )


def _check_container(module, label):
    """Raises unless all that `module` has are children."""
    own = [name for name, _ in module.named_parameters(recurse=False)]
    if not module._modules or own:
        cause = f"has parameters of its own, {own}" if own else "has no jaxrnn layer"
        raise TypeError(
            f"{label or describe(module)} {cause}. A network may consist of LSTM, GRU, RNN, their "
            "cells, Linear, Embedding, Dropout and Identity modules, and of modules with such "
            "children. Pass the part of the network that does."
        )
