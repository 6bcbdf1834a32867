"""Weights from ONNX models."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from jaxrnn._core.checks import describe
from jaxrnn.activations import Activation
from jaxrnn.convert._network import Network, Part, chain
from jaxrnn.convert._onnx_nodes import (
    ORDER,
    dense_layer,
    embed_layer,
    is_dense,
    is_embedding,
    is_vector,
    label_of,
    recurrent_part,
)

# The operators allowed between two layers, where they concatenate the directions.
_BETWEEN = {"Squeeze", "Transpose", "Reshape", "Identity", "Dropout"}


def from_onnx(model: Any, *, activation: Activation | None = None) -> Network:
    """A layer with the weights of the LSTM, GRU or RNN nodes of an ONNX model.

    The recurrent nodes must form one chain. Products with constant matrices (Gemm, or MatMul and
    Add) in that chain, before it or after it become `jaxrnn.dense`, and a lookup in a constant
    table (Gather) before it becomes `jaxrnn.embed`. The chain ends at the first node of another
    kind; that node and those beyond it are ignored.

    An LSTM with peepholes becomes a `jaxrnn.peephole_lstm`, one with `input_forget` a
    `jaxrnn.coupled_lstm`, and `activations` and `clip` become the activations of the cell. As in
    onnxruntime, `clip` applies to all gates but not to c, a coupled forget gate is 1 - i, and,
    without `activation_alpha`, the threshold of a ThresholdedRelu is 0.

    The layer is time-first, regardless of `layout`. An initial state is not converted: pass it as
    the carry. Nor are `sequence_lens`: pass ``mask=jaxrnn.length_mask(lengths, T)``, for the same
    outputs.

    Args:
      model: an `onnx.ModelProto`, for example from `onnx.load`.
      activation: the activation of RNN nodes. None means the activation of the nodes.

    Returns:
      `Network`: the layer and its parameters.

    Raises:
      ValueError, TypeError: the model has no such node, or the nodes do not form a chain; a node
        has an activation that is not in the ONNX specification; or a weight is computed in the
        graph, or has the wrong shape or dtype.

    Examples:
      >>> weights = jaxrnn.gru(4).init(jax.random.key(0), jnp.zeros((3, 5)))
      >>> model = jaxrnn.convert.to_onnx(weights)  # or `onnx.load(path)`
      >>> layer, params = jaxrnn.convert.from_onnx(model)
      >>> layer, bool((params.kernel == weights.kernel).all())
      (rnn(gru(4)), True)
    """
    if not hasattr(model, "graph") or not hasattr(model.graph, "node"):
        raise TypeError(
            f"`model` must be an onnx.ModelProto, got {describe(model)}. Read a file with "
            "`onnx.load(path)`."
        )
    nodes = [node for node in model.graph.node if node.op_type in ORDER]
    if not nodes:
        raise ValueError("`model` has no LSTM, GRU or RNN node at its top level.")
    for node in nodes:
        if not node.input or not node.output:
            raise ValueError(f"{label_of(node)} has no inputs or no outputs. Is the model damaged?")
    graph = _Graph.of(model.graph)
    steps = _before(graph, nodes[-1])
    steps += _after(graph, nodes[-1])
    _check_one_chain(nodes, steps)
    return chain(_part(step, graph.constants, activation) for step in steps)


class _Graph(NamedTuple):
    nodes: Sequence[Any]
    makers: Mapping[str, Any]  # the node with this first output
    constants: Mapping[str, Any]  # tensors by name

    @classmethod
    def of(cls, graph: Any) -> "_Graph":
        makers = {node.output[0]: node for node in graph.node if node.output}
        return cls(graph.node, makers, _constants(graph))


class _Step(NamedTuple):
    """A node that is a layer."""

    node: Any
    source: str  # what it reads
    output: str
    bias: str | None = None  # what an Add node adds to a product


def _part(step: _Step, constants: Mapping[str, Any], activation: Activation | None) -> Part:
    if step.node.op_type in ORDER:
        return recurrent_part(step.node, constants, activation)
    if step.node.op_type == "Gather":
        return embed_layer(step.node, constants)
    return dense_layer(step.node, step.bias, constants)


def _before(graph: _Graph, last: Any) -> list[_Step]:
    """The steps up to this recurrent node, first to last."""
    steps = [_Step(last, last.input[0], last.output[0])]
    while True:
        step = _step(graph, _origin(graph, steps[-1].source))
        if step is None or any(step.output == known.output for known in steps):
            return steps[::-1]
        steps.append(step)


def _after(graph: _Graph, last: Any) -> Iterator[_Step]:
    """The dense steps after this recurrent node, as long as there is one only."""
    found = [_step(graph, node.output[0]) for node in graph.nodes if node.output]
    steps = [step for step in found if step and is_dense(step.node, graph.constants)]
    biased = {step.node.output[0] for step in steps if step.bias}
    steps = [step for step in steps if step.output not in biased]
    output, seen = last.output[0], set()
    while output not in seen:
        seen.add(output)
        readers = [step for step in steps if _origin(graph, step.source) == output]
        if len(readers) == 1:
            yield readers[0]
            output = readers[0].output


def _origin(graph: _Graph, name: str) -> str:
    """What `name` is made from by nodes that only rearrange it."""
    seen = set()
    while name in graph.makers and name not in seen:
        seen.add(name)
        node = graph.makers[name]
        if node.op_type not in _BETWEEN or not node.input:
            break
        name = node.input[0]
    return name


def _step(graph: _Graph, name: str) -> _Step | None:
    """The layer whose output is `name`, if it is one."""
    node, constants = graph.makers.get(name), graph.constants
    if node is None or not node.input:
        return None
    if node.op_type in ORDER or is_dense(node, constants):
        return _Step(node, node.input[0], name)
    if is_embedding(node, constants):
        return _Step(node, node.input[1], name)
    if node.op_type == "Add":
        for product, bias in itertools.permutations(node.input):
            maker = graph.makers.get(product)
            is_product = maker is not None and maker.op_type == "MatMul"
            if is_product and is_dense(maker, constants) and is_vector(bias, constants):
                return _Step(maker, maker.input[0], name, bias)
    return None


def _check_one_chain(nodes: Sequence[Any], steps: Sequence[_Step]) -> None:
    """Raises unless every recurrent node is a step."""
    found = {step.node.output[0] for step in steps}
    for before, after in pairwise(nodes):
        if before.output[0] not in found:
            raise ValueError(
                f"{label_of(after)} does not read the output of {label_of(before)}, the recurrent "
                f"node before it, but {after.input[0]!r}. Only one chain of nodes can be "
                "converted: extract each chain with `onnx.utils.Extractor`."
            )


def _constants(graph: Any) -> dict[str, Any]:
    """The constant tensors of a graph, by name."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    constants = (node for node in graph.node if node.op_type == "Constant" and node.output)
    return found | {node.output[0]: node.attribute[0].t for node in constants if node.attribute}
