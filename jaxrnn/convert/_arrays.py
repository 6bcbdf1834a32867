"""Arrays of other libraries as NumPy arrays, checked by name, dtype and shape."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrnn._checks import describe

Shape = tuple[int, ...]


def as_numpy(name: str, value: Any) -> np.ndarray:
    """A copy of a floating array; raises on anything else."""
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise TypeError(f"`{name}` must be an array, got {describe(value)}.")
    array = np.array(_off_tape(value) if hasattr(value, "detach") else value)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"`{name}` must be floating, got {describe(array)}. Quantised or integer weights must "
            "be turned into floating ones first."
        )
    return array


def _off_tape(tensor: Any) -> Any:
    """A tensor of torch as an array."""
    tensor = tensor.detach().cpu()
    # NumPy has no bfloat16 of its own, so torch does not give it one.
    is_bfloat16 = str(tensor.dtype) == "torch.bfloat16"
    return jnp.from_dlpack(tensor.contiguous()) if is_bfloat16 else tensor.numpy()


def all_numpy(arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """`as_numpy` of every array, by name; raises unless they have one dtype."""
    found = {str(name): as_numpy(str(name), value) for name, value in arrays.items()}
    check_one_dtype(found.values())
    return found


def check_one_dtype(arrays: Iterable[Any]) -> None:
    """Raises unless all arrays have the same dtype."""
    dtypes = sorted({str(array.dtype) for array in arrays})
    if len(dtypes) > 1:
        raise TypeError(f"All weights must have one dtype, got {dtypes}. Cast them to one first.")


def flatten(tree: Mapping, prefix: str = "") -> dict[str, Any]:
    """The leaves of nested mappings, named by their path: ``hi/kernel``."""
    leaves = {}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        inner = flatten(value, f"{path}/") if isinstance(value, Mapping) else {path: value}
        leaves.update(inner)
    return leaves


def check_mapping(source: Any, expected: str) -> None:
    """Raises unless `source` is a mapping."""
    if not isinstance(source, Mapping):
        raise TypeError(f"`source` must be {expected}, got {describe(source)}.")


def check_names(peer: str, names: Iterable[str], required: Iterable[str], optional=()) -> None:
    """Raises unless `names` are all the required ones and at most the optional ones besides."""
    names, required = set(names), set(required)
    missing, extra = required - names, names - required - set(optional)
    if missing or extra:
        raise ValueError(
            f"These are not all and only the weights of {peer}: missing {_listed(missing)}, "
            f"unexpected {_listed(extra)}. Are they of another library or another kind of cell, or "
            "beside other weights of a larger model?"
        )


def check_shapes(arrays: Mapping[str, np.ndarray], expected: Mapping[str, Shape]) -> None:
    """Raises unless each array that is there has the shape that `expected` has for it."""
    for name, shape in expected.items():
        if name in arrays and arrays[name].shape != shape:
            raise ValueError(
                f"`{name}` must have shape {shape} to fit the other weights, got "
                f"{arrays[name].shape}. Is it transposed, cut off or of another layer?"
            )


def check_matrix(name: str, array: np.ndarray) -> None:
    """Raises unless `array` has two axes, neither of them empty."""
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"`{name}` must be a matrix with no empty axis, got {array.shape}. Of stacked weights, "
            "convert one network at a time."
        )


def count_gates(name: str, columns: int, hidden_size: int, known: Iterable[int]) -> int:
    """G, of a matrix with one axis H and one axis G*H; raises unless it is one of `known`."""
    gates, rest = divmod(columns, hidden_size)
    if rest or gates not in known:
        raise ValueError(
            f"`{name}` has {columns} gate values for {hidden_size} hidden ones, which is "
            f"{columns / hidden_size:g} gates. An LSTM has 4 gates, a GRU 3, a vanilla RNN 1; "
            f"here {sorted(known)} can be read."
        )
    return gates


def _listed(names: set[str]) -> str:
    shown = sorted(names)[:6]
    return f"[{', '.join(shown)}{', ...' if len(names) > len(shown) else ''}]"
