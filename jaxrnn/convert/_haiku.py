"""Weights from and to `haiku.LSTM`, `haiku.GRU` and `haiku.VanillaRNN`."""

import re
from collections import defaultdict
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.types import Params
from jaxrnn.activations import Activation
from jaxrnn.cells import ElmanParams, LSTMParams, ResetBeforeGRUParams
from jaxrnn.convert._arrays import (
    all_numpy,
    check_mapping,
    check_matrix,
    check_names,
    check_shapes,
    count_gates,
    flatten,
)
from jaxrnn.convert._cell_layers import one_way_cell_layers
from jaxrnn.convert._gates import CellParams, TwoBiases, join_biases, reorder, split_biases
from jaxrnn.convert._network import Network, chain, one_way, usual_unit

_NAMES = {LSTMParams: "lstm", ResetBeforeGRUParams: "gru", ElmanParams: "vanilla_rnn"}


def from_haiku(params: Mapping, *, activation: Activation | None = None) -> Network:
    """A layer with the weights of a Haiku LSTM, GRU or VanillaRNN, or of a `DeepRNN` of them.

    Haiku adds 1 to the forget gate at each step; here the bias includes it. In Haiku's GRU the
    update gate z weights the new value instead of the old one, so z is negated. Its reset gate
    multiplies before the recurrent product.

    Args:
      params: the parameters of the transformed function: a mapping of modules, each a mapping of
        arrays, that holds only cores of one kind. The number at the end of a module's name gives
        the order: ``lstm``, ``lstm_1``.
      activation: the activation of a VanillaRNN. None means relu, Haiku's default.

    Returns:
      `Network`: the layer and its parameters.

    Raises:
      ValueError, TypeError: a weight is missing or unexpected, or has the wrong shape or dtype.

    Examples:
      >>> arrays = {"w": np.zeros((9, 16), np.float32), "b": np.zeros(16, np.float32)}
      >>> layer, params = jaxrnn.convert.from_haiku({"lstm/linear": arrays})
      >>> layer, params.bias.reshape(4, 4)[:, 0].tolist()  # gates i f g o: Haiku adds 1 to f
      (rnn(lstm(4)), [0.0, 1.0, 0.0, 0.0])
    """
    check_mapping(params, "the parameters of Haiku modules, nested by name")
    cores = _cores(all_numpy(flatten(params)))
    return chain(one_way(usual_unit(_read(core), activation or jax.nn.relu)) for core in cores)


def to_haiku(params: Params, *, name: str | None = None) -> dict[str, dict[str, jax.Array]]:
    """The Haiku parameters with these weights.

    Args:
      params: `LSTMParams`, `ResetBeforeGRUParams` or `ElmanParams`, or a tuple of them, as in
        `jaxrnn.stack`.
      name: the name of the first core, such as ``"model/~/lstm"``; ``_1``, ``_2`` and so on are
        appended for the others. None means Haiku's name for a core outside a module.

    Returns:
      Arrays by module and name. 1 is subtracted from the forget bias, which may round its last
      bits; everything else is exact.

    Raises:
      ValueError, TypeError: Haiku has no such cell, or a layer is bidirectional.

    Examples:
      >>> params = jaxrnn.lstm(4).init(jax.random.key(0), jnp.zeros((3, 5)))
      >>> arrays = jaxrnn.convert.to_haiku(params, name="model/~/lstm")
      >>> {module: sorted(each) for module, each in arrays.items()}
      {'model/~/lstm/linear': ['b', 'w']}
    """
    modules = {}
    for i, cell in enumerate(one_way_cell_layers("Haiku", tuple(_NAMES), params, fill=True)):
        core = f"{name or _NAMES[type(cell)]}{f'_{i}' if i else ''}"
        for path, array in _written(cell).items():
            module, _, leaf = f"{core}/{path}".rpartition("/")
            modules.setdefault(module, {})[leaf] = jnp.array(array)
    return modules


def _cores(arrays: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """The arrays of each core by name, in the order of the core numbers."""
    cores = defaultdict(dict)
    for path, array in arrays.items():
        found = re.fullmatch(r"(.*?)(?:_(\d+))?/((?:linear(?:_1)?/)?\w+)", path)
        if not found:
            raise ValueError(f"Array `{path}` is in no module. Are these Haiku parameters?")
        core, number, leaf = found.groups()
        cores[core, int(number or 0)][leaf] = array
    if len({core for core, _ in cores}) != 1:
        raise ValueError(
            f"`params` must hold cores of one kind, got {sorted({c for c, _ in cores})}. If they "
            "come from a larger model, pass only the entries of its recurrent cores, and convert "
            "cores of different kinds separately."
        )
    return [cores[core] for core in sorted(cores)]


def _read(arrays: Mapping[str, np.ndarray]) -> CellParams:
    if "w_i" in arrays:
        return _read_gru(arrays)
    return _read_vanilla(arrays) if "linear_1/w" in arrays else _read_lstm(arrays)


def _read_lstm(arrays):
    check_names("a Haiku LSTM, GRU or VanillaRNN", arrays, ["linear/w", "linear/b"])
    kernel = arrays["linear/w"]
    check_matrix("linear/w", kernel)
    columns = kernel.shape[1]
    hidden_size = max(columns // 4, 1)
    count_gates("linear/w", columns, hidden_size, {4})
    width = len(kernel) - hidden_size
    if width < 1:
        raise ValueError(
            f"`linear/w` of a Haiku LSTM must have shape (I + H, 4H), got {kernel.shape}: with "
            f"H = {hidden_size}, no row is left for the input. Is it transposed?"
        )
    check_shapes(arrays, {"linear/b": (columns,)})
    ordered = reorder(kernel, "igfo", "ifgo")
    bias = _shift_forget(reorder(arrays["linear/b"], "igfo", "ifgo"), 1)
    return LSTMParams(ordered[:width], ordered[width:], bias)


def _read_gru(arrays):
    check_names("a Haiku GRU", arrays, ["w_i", "w_h", "b"])
    for name in ("w_i", "w_h"):
        check_matrix(name, arrays[name])
    hidden_size, columns = arrays["w_h"].shape
    count_gates("w_h", columns, hidden_size, {3})
    check_shapes(arrays, {"w_i": (len(arrays["w_i"]), columns), "b": (columns,)})
    ordered = (reorder(arrays[name], "zrn", "rzn") for name in ("w_i", "w_h", "b"))
    return ResetBeforeGRUParams(*map(_negate_update, ordered))


def _read_vanilla(arrays):
    required = ["linear/w", "linear/b", "linear_1/w"]
    check_names("a Haiku VanillaRNN", arrays, required, optional=["linear_1/b"])
    for name in ("linear/w", "linear_1/w"):
        check_matrix(name, arrays[name])
    hidden_size = len(arrays["linear_1/w"])
    shapes = {
        "linear/w": (len(arrays["linear/w"]), hidden_size),
        "linear_1/w": (hidden_size, hidden_size),
        "linear/b": (hidden_size,),
        "linear_1/b": (hidden_size,),
    }
    check_shapes(arrays, shapes)
    second = arrays.get("linear_1/b", np.zeros_like(arrays["linear/b"]))
    weights = TwoBiases(arrays["linear/w"], arrays["linear_1/w"], arrays["linear/b"], second)
    return join_biases(weights, ElmanParams)


def _written(cell: CellParams) -> dict[str, np.ndarray]:
    """The arrays of a core by name."""
    if isinstance(cell, LSTMParams):
        kernel = np.concatenate([cell.kernel, cell.recurrent_kernel])
        bias = _shift_forget(cell.bias, -1)
        return {
            "linear/w": reorder(kernel, "ifgo", "igfo"),
            "linear/b": reorder(bias, "ifgo", "igfo"),
        }
    if isinstance(cell, ResetBeforeGRUParams):
        arrays = (reorder(_negate_update(array), "rzn", "zrn") for array in cell)
        return dict(zip(("w_i", "w_h", "b"), arrays, strict=True))
    names = ("linear/w", "linear_1/w", "linear/b", "linear_1/b")
    return dict(zip(names, split_biases(cell), strict=True))


def _shift_forget(bias, by):
    i, f, g, o = np.split(bias, 4)
    return np.concatenate([i, f + np.asarray(by, f.dtype), g, o])


def _negate_update(array):
    """The gates r, z, n with z negated, because σ(-a) = 1 - σ(a)."""
    r, z, n = np.split(array, 3, axis=-1)
    return np.concatenate([r, -z, n], axis=-1)
