"""The layers of Keras models, in models too, as one chain."""

from collections.abc import Iterator
from typing import Any

from jaxrnn.convert._keras_layers import is_a


def layers_of(source: Any) -> list[Any]:
    """The layers of a model, of a sequence of layers and models, or the layer itself."""
    if is_a(source, "Sequential"):
        inner = source.layers
    elif is_a(source, "Model"):
        inner = _chain(source)
    elif isinstance(source, list | tuple):
        inner = source
    else:
        return [source]
    return [layer for part in inner for layer in layers_of(part)]


def _chain(model: Any) -> list[Any]:
    """The layers of a functional model in order. Raises unless each reads the one before it."""
    if not is_a(model, "Functional"):
        raise TypeError(
            f"`{model.name}` ({type(model).__name__}) is a subclass of keras.Model, whose `call` "
            "cannot be read. Pass a list of its layers in order."
        )
    sources = {entry["name"]: set(_sources(entry)) for entry in model.get_config()["layers"]}
    before, found = None, []
    for layer in model.layers:
        if sources[layer.name] != ({before} if before else set()):
            raise ValueError(
                f"`{layer.name}` ({type(layer).__name__}) reads {sorted(sources[layer.name])}, and "
                f"not the first output of {before!r} alone. Only a chain of layers can be "
                "converted: pass a list of the layers of one chain."
            )
        before = layer.name
        found.append(layer)
    return found


def _sources(entry: dict[str, Any]) -> Iterator[str]:
    """The names of the layers that a layer reads, from its entry in the config of a model."""
    for node in entry["inbound_nodes"]:
        for history in _histories(node):
            name, _, output = history
            yield name if output == 0 else f"{name}[{output}]"
    if len(entry["inbound_nodes"]) > 1:
        yield "several inputs, one at each of its calls"


def _histories(config: Any) -> Iterator[list[Any]]:
    """Everything that a config calls a ``keras_history``."""
    values = config.values() if isinstance(config, dict) else config
    if isinstance(config, dict) and "keras_history" in config:
        yield config["keras_history"]
    elif isinstance(config, dict | list | tuple):
        for value in values:
            yield from _histories(value)
