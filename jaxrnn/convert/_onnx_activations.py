"""The activation functions of ONNX nodes, by name."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn import activations
from jaxrnn.activations import Activation

GATE_FUNCTIONS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
_FIELDS = {
    "LSTM": ("gate_activation", "activation", "output_activation"),
    "GRU": ("gate_activation", "activation"),
    "RNN": ("activation",),
}
_PLAIN = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "softsign": jax.nn.soft_sign,
    "softplus": jax.nn.softplus,
}


class _Family(NamedTuple):
    """Functions with parameters: alpha, or alpha and beta."""

    make: Callable[..., Activation]
    usual: tuple[float, ...]  # in onnxruntime, where a node has no `activation_alpha` or `_beta`


_WITH_PARAMETERS = {
    "affine": _Family(activations.affine, (0.0, 0.0)),
    "leakyrelu": _Family(activations.leaky_relu, (0.01,)),
    "thresholdedrelu": _Family(activations.thresholded_relu, (0.0,)),
    "scaledtanh": _Family(activations.scaled_tanh, (0.0, 0.0)),
    "hardsigmoid": _Family(activations.hard_sigmoid, (0.2, 0.5)),
    "elu": _Family(activations.elu, (1.0,)),
}


def node_activations(
    kind: str, options: dict[str, Any], directions: int, given: Activation | None, label: str
) -> list[dict[str, Activation]]:
    """The activations of each direction of a node, by the argument of the cell.

    Args:
      kind: ``"LSTM"``, ``"GRU"`` or ``"RNN"``.
      options: the attributes of the node.
      directions: 1 or 2.
      given: in place of the activation of an RNN, or None.
      label: what to call the node in an error message.
    """
    names = [_text(name) for name in options.get("activations") or ()]
    names = names or GATE_FUNCTIONS[kind] * directions
    fields = _FIELDS[kind]
    if len(names) != len(fields) * directions:
        raise ValueError(
            f"`activations` of {label} must have {len(fields)} names for each direction, got "
            f"{names}."
        )
    parameters = [iter(options.get(f"activation_{name}") or ()) for name in ("alpha", "beta")]
    if given and kind == "RNN":
        functions = [given] * directions
    else:
        functions = [_function(name, parameters, label) for name in names]
    return [
        _clipped(dict(zip(fields, functions[start:], strict=False)), options.get("clip"))
        for start in range(0, len(names), len(fields))
    ]


def _function(name: str, parameters: list[Iterator[float]], label: str) -> Activation:
    """The function with this name. Functions consume their parameters in order."""
    name_in_lower = name.lower()
    if name_in_lower in _PLAIN:
        return _PLAIN[name_in_lower]
    if name_in_lower not in _WITH_PARAMETERS:
        known = sorted([*_PLAIN, *_WITH_PARAMETERS])
        raise ValueError(
            f"`activations` of {label} has {name!r}, which must be one of {known}, in any case. "
            "For an RNN node, another function can be passed as `activation`."
        )
    make, usual = _WITH_PARAMETERS[name_in_lower]
    given = zip(parameters, usual, strict=False)
    return make(*(next(values, default) for values, default in given))


def _clipped(functions, limit):
    """Clips what the gates get. As in onnxruntime, the memory is not clipped."""
    if not limit:
        usual = functions["activation"]  # which the output has as well, unless it is given another
        return {f: a for f, a in functions.items() if f != "output_activation" or a is not usual}
    return {
        field: f if field == "output_activation" else activations.clipped(f, limit)
        for field, f in functions.items()
    }


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
