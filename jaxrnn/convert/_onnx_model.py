"""Weights to the operators LSTM, GRU and RNN of ONNX, in a model that runs."""

import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrnn._types import Params
from jaxrnn.cells import ElmanParams, GRUParams, LSTMParams
from jaxrnn.convert._gates import GATES, CellParams, reorder, split_biases
from jaxrnn.convert._levels import Level, uniform_levels
from jaxrnn.convert._network import ACTIVATIONS, Activation
from jaxrnn.convert._onnx import ORDER

_OPSET = 22  # the first in which these operators take bfloat16
_IR_VERSION = 10  # of the first release with that opset
_OPERATORS = {LSTMParams: "LSTM", ElmanParams: "RNN"}


def to_onnx(params: Params, *, activation: Activation = jnp.tanh, streaming: bool = False) -> Any:
    """An ONNX model with these parameters: xs (T, B, I) -> ys (T, B, H), or 2H for two directions.

    Args:
      params: `LSTMParams`, `GRUParams`, `ResetBeforeGRUParams` or `ElmanParams`, the
        `BidirectionalParams` of two of one kind, or a tuple of any of these, as of `jaxrnn.stack`.
        A two-way layer must join by ``"concat"``.
      activation: of cells with `ElmanParams`: `jnp.tanh`, `jax.nn.relu` or `jax.nn.sigmoid`.
      streaming: whether the model also takes the carry, and returns the next: the inputs ``h_i``
        and, of an LSTM, ``c_i`` of each layer i, (B, H), and the outputs ``next_h_i`` and
        ``next_c_i``. Without it, the carry starts at zero and is not returned.

    Returns:
      An `onnx.ModelProto`; T and B are open.

    Raises:
      ValueError, TypeError: ONNX has no such operator, the shapes do not fit each other, or a model
        that is to stream has two directions.
    """
    from onnx import helper, numpy_helper

    entries = params if type(params) is tuple else (params,)
    found = [level for e in entries for level in uniform_levels("an ONNX node", tuple(GATES), e)]
    states = [_states(i, level) if streaming else [] for i, level in enumerate(found)]
    arrays = {"by_step": np.array([0, 0, -1])}
    arrays |= {"direction": np.array([0])} if streaming else {}
    nodes = []
    for i, level in enumerate(found):
        source, target = f"ys_{i - 1}" if i else "xs", f"ys_{i}" if found[i + 1 :] else "ys"
        nodes += _nodes(i, source, target, states[i], _attributes(level, activation))
        arrays |= {f"{role}_{i}": array for role, array in _arrays(level).items()}
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    ends = _ends(found[0][0], found[-1], list(itertools.chain(*states)))
    graph = helper.make_graph(nodes, "jaxrnn", *ends, tensors)
    opset = helper.make_opsetid("", _OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)


def _ends(first: CellParams, last: Level, states: list[str]) -> tuple[list[Any], list[Any]]:
    """What goes into a model, and what comes out."""
    from onnx import helper

    element = helper.np_dtype_to_tensor_dtype(first.kernel.dtype)
    hidden_size = len(last[0].recurrent_kernel)

    def make(name, *shape):
        return helper.make_tensor_value_info(name, element, shape)

    inputs = [make("xs", "T", "B", len(first.kernel))]
    outputs = [make("ys", "T", "B", len(last) * hidden_size)]
    inputs += [make(name, "B", hidden_size) for name in states]
    outputs += [make(f"next_{name}", "B", hidden_size) for name in states]
    return inputs, outputs


def _states(i: int, level: Level) -> list[str]:
    """The names of what a layer carries."""
    if len(level) > 1:
        raise ValueError(
            f"`streaming` needs layers of one direction, and layer {i} has two: its backward "
            "direction begins at the end of the sequence."
        )
    return [f"h_{i}", f"c_{i}"] if isinstance(level[0], LSTMParams) else [f"h_{i}"]


def _nodes(
    i: int, source: str, target: str, states: list[str], attributes: dict[str, Any]
) -> list[Any]:
    """One layer: its operator, and its outputs (T, D, B, H) made (T, B, D*H).

    The operator has its states as (D, B, H), and D is 1.
    """
    from onnx import helper

    operator = attributes.pop("operator")
    inputs, outputs = [source, f"W_{i}", f"R_{i}", f"B_{i}"], [f"Y_{i}"]
    if states:
        inputs += ["", *(f"initial_{name}" for name in states)]  # "": no lengths
        outputs += [f"last_{name}" for name in states]

    def make_state(kind, before, after):
        names = ((before + name, after + name) for name in states)
        return [helper.make_node(kind, [a, "direction"], [b]) for a, b in names]

    return [
        *make_state("Unsqueeze", "", "initial_"),
        helper.make_node(operator, inputs, outputs, name=f"layer_{i}", **attributes),
        *make_state("Squeeze", "last_", "next_"),
        helper.make_node("Transpose", [f"Y_{i}"], [f"Y_{i}_by_batch"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", [f"Y_{i}_by_batch", "by_step"], [target]),
    ]


def _attributes(level: Level, activation: Activation) -> dict[str, Any]:
    attributes = {
        "operator": _OPERATORS.get(type(level[0]), "GRU"),
        "hidden_size": len(level[0].recurrent_kernel),
        "direction": "bidirectional" if len(level) == 2 else "forward",
    }
    if attributes["operator"] == "GRU":
        attributes["linear_before_reset"] = int(isinstance(level[0], GRUParams))
    if attributes["operator"] == "RNN":
        attributes["activations"] = [_name_of(activation)] * len(level)
    return attributes


def _name_of(activation: Activation) -> str:
    names = {function: name.capitalize() for name, function in ACTIVATIONS.items()}
    if activation not in names:
        raise ValueError(
            f"`activation` must be jnp.tanh, jax.nn.relu or jax.nn.sigmoid, got {activation!r}: "
            "ONNX has a list of them, and no functions of your own."
        )
    return names[activation]


def _arrays(level: Level) -> dict[str, np.ndarray]:
    """W (D, G*H, I), R (D, G*H, H) and B (D, 2*G*H) of a layer."""
    kind = type(level[0])
    order = ORDER[_OPERATORS.get(kind, "GRU")]
    split = [[reorder(a, GATES[kind], order) for a in split_biases(cell)] for cell in level]
    kernels, recurrent_kernels, *biases = zip(*split, strict=True)
    w, r = (np.stack([kernel.T for kernel in side]) for side in (kernels, recurrent_kernels))
    return {"W": w, "R": r, "B": np.concatenate([np.stack(b) for b in biases], axis=-1)}
