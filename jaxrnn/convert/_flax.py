"""Trees of Flax weights, which have nearly the same names in linen and nnx."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrnn.activations import Activation
from jaxrnn.cells import ConvLSTMParams, ElmanParams, GRUParams, LSTMParams
from jaxrnn.convert._arrays import (
    all_numpy,
    check_mapping,
    check_matrix,
    check_names,
    check_shapes,
    count_gates,
    flatten,
)
from jaxrnn.convert._cell_layers import CellLayer
from jaxrnn.convert._flax_conv import CONV_KERNELS, read_conv, written_conv
from jaxrnn.convert._gates import CELLS, GATES, CellParams
from jaxrnn.convert._network import Network, chain, directed, usual_unit

FLAX_CELLS = LSTMParams, GRUParams, ElmanParams
_DIRECTIONS = ["forward_rnn", "backward_rnn"]
_NNX_KERNELS = ["dense_i/kernel", "dense_h/kernel"]
Paths = dict[str, list[str]]  # for each of our fields, the arrays that it concatenates


def read_layers(layers: Iterable[Any], activation: Activation) -> Network:
    """The network with the weights of these layers, in order."""
    return chain(
        directed(usual_unit(_read(tree), activation) for tree in _directions(layer))
        for layer in layers
    )


def within(name: str, tree: Mapping) -> Any:
    """The entry `name` of `tree`, which must be its only entry; `tree` itself if it has none."""
    if name not in tree:
        return tree
    check_names(f"a Flax module with `{name}`", tree, [name])
    return tree[name]


def _directions(tree: Any) -> list[Any]:
    check_mapping(tree, "the weights of Flax modules, nested by name")
    if "forward_rnn" not in tree:
        return [tree]
    check_names("an nn.Bidirectional", tree, _DIRECTIONS)
    return [tree[name] for name in _DIRECTIONS]


def _read(tree: Any) -> CellParams:
    """The parameters of one cell, from the tree of the cell or of an RNN that holds it."""
    check_mapping(tree, "the weights of Flax modules, nested by name")
    leaves = all_numpy(flatten(within("cell", tree)))
    arrays = {name.replace("if_/", "if/"): array for name, array in leaves.items()}
    if CONV_KERNELS[0] in arrays:
        return read_conv(arrays)
    cell, paths = _recognize(arrays)
    every = itertools.chain.from_iterable(paths.values())
    check_names(f"a Flax cell for {cell.__name__}", arrays, every)
    first, recurrent = paths["kernel"][0], paths["recurrent_kernel"][0]
    for name in (first, recurrent):
        check_matrix(name, arrays[name])
    hidden_size, columns = arrays[recurrent].shape
    count_gates(recurrent, columns, hidden_size, {len(GATES[cell]) // len(paths["kernel"])})
    rows = {"kernel": arrays[first].shape[:1], "recurrent_kernel": (hidden_size,)}
    for field, names in paths.items():
        check_shapes(arrays, {name: (*rows.get(field, ()), columns) for name in names})
    fields = {f: np.concatenate([arrays[n] for n in names], -1) for f, names in paths.items()}
    if cell is GRUParams:
        fields.setdefault("recurrent_bias", np.zeros(hidden_size, arrays[recurrent].dtype))
    return cell(**fields)


def _recognize(arrays: Mapping[str, np.ndarray]) -> tuple[type[CellParams], Paths]:
    """The cell with arrays of these names, and the paths of its fields."""
    for cell in FLAX_CELLS:
        paths = linen_paths(cell)
        if paths["kernel"][0] in arrays:
            return cell, paths
    check_names("a Flax cell", [n for n in arrays if "bias" not in n], _NNX_KERNELS)
    recurrent = arrays["dense_h/kernel"]
    check_matrix("dense_h/kernel", recurrent)
    hidden_size, columns = recurrent.shape
    cell = CELLS[count_gates("dense_h/kernel", columns, hidden_size, CELLS)]
    return cell, nnx_paths(cell)


def linen_paths(cell: type[CellParams]) -> Paths:
    """The paths in linen cells and in `nnx.LSTMCell`, which have one array for each gate."""
    gates = "" if cell is ElmanParams else GATES[cell]
    paths = {
        "kernel": [f"i{gate}/kernel" for gate in gates or [""]],
        "recurrent_kernel": [f"h{gate}/kernel" for gate in gates or [""]],
    }
    biased = "h" if cell is LSTMParams else "i"
    paths["bias"] = [f"{biased}{gate}/bias" for gate in gates or [""]]
    return paths | ({"recurrent_bias": ["hn/bias"]} if cell is GRUParams else {})


def nnx_paths(cell: type[CellParams]) -> Paths:
    """The paths in the other nnx cells, which have all gates in one array."""
    biased = "dense_h" if cell is LSTMParams else "dense_i"
    kernel, recurrent_kernel = _NNX_KERNELS
    return {"kernel": [kernel], "recurrent_kernel": [recurrent_kernel], "bias": [f"{biased}/bias"]}


def written(layer: CellLayer, paths_of: Callable[[type[CellParams]], Paths]) -> dict[str, Any]:
    """The tree of an RNN, or of a Bidirectional of two RNNs."""
    trees = []
    for cell in layer:
        tree = {}
        is_conv = isinstance(cell, ConvLSTMParams)
        for path, array in written_conv(cell) if is_conv else _by_path(cell, paths_of(type(cell))):
            module, name = path.split("/")
            tree.setdefault(module, {})[name] = jnp.array(array)
        trees.append({"cell": tree})
    return dict(zip(_DIRECTIONS, trees, strict=True)) if trees[1:] else trees[0]


def _by_path(cell: CellParams, paths: Paths) -> Iterator[tuple[str, np.ndarray]]:
    for field, names in paths.items():
        yield from zip(names, np.split(getattr(cell, field), len(names), axis=-1), strict=True)
