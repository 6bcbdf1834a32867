"""Arrays of other libraries as NumPy arrays, with checks of names, dtypes and shapes."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import describe

Shape = tuple[int, ...]


def as_numpy(name: str, value: Any) -> np.ndarray:
    """A NumPy copy of a floating-point array. Raises for anything else."""
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise TypeError(f"`{name}` must be an array, got {describe(value)}.")
    array = np.array(_detached(value) if hasattr(value, "detach") else value)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"`{name}` must be floating-point, got {describe(array)}. Dequantize or cast integer "
            "weights first."
        )
    return array


def _detached(tensor: Any) -> Any:
    """A torch tensor as an array."""
    tensor = tensor.detach().cpu()
    # `Tensor.numpy` does not support bfloat16, which NumPy itself lacks.
    is_bfloat16 = str(tensor.dtype) == "torch.bfloat16"
    return jnp.from_dlpack(tensor.contiguous()) if is_bfloat16 else tensor.numpy()


def all_numpy(arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """`as_numpy` of every array, by name. Raises unless all have the same dtype."""
    found = {str(name): as_numpy(str(name), value) for name, value in arrays.items()}
    check_one_dtype(found.values())
    return found


def check_one_dtype(arrays: Iterable[Any]) -> None:
    """Raises unless all arrays have the same dtype."""
    dtypes = sorted({str(array.dtype) for array in arrays})
    if len(dtypes) > 1:
        raise TypeError(f"All weights must have one dtype, got {dtypes}. Cast them first.")


def flatten(tree: Mapping, prefix: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by path, such as ``hi/kernel``."""
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
    """Raises unless `names` holds every required name and otherwise only optional ones."""
    names, required = set(names), set(required)
    missing, extra = required - names, names - required - set(optional)
    if missing or extra:
        raise ValueError(
            f"These are not the weights of {peer}: missing {_listed(missing)}, unexpected "
            f"{_listed(extra)}. Do they come from another library or another kind of cell, or do "
            "they include other parts of a larger model?"
        )


def check_shapes(arrays: Mapping[str, np.ndarray], expected: Mapping[str, Shape]) -> None:
    """Raises unless every array that is present has its expected shape."""
    for name, shape in expected.items():
        if name in arrays and arrays[name].shape != shape:
            raise ValueError(
                f"`{name}` must have shape {shape} to match the other weights, got "
                f"{arrays[name].shape}. Is it transposed, or from another layer?"
            )


def check_matrix(name: str, array: np.ndarray) -> None:
    """Raises unless `array` has two axes, both of nonzero size."""
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"`{name}` must be a matrix with no empty axis, got {array.shape}. If the weights of "
            "several networks are stacked, convert one network at a time."
        )


def check_kernel(name: str, array: np.ndarray) -> None:
    """Raises unless `array` is a kernel of a convolution, (*K, C, N), in 1 to 3 dimensions."""
    if not 3 <= array.ndim <= 5 or 0 in array.shape:
        raise ValueError(
            f"`{name}` must be the kernel of a convolution, (*K, C, N), with 1 to 3 spatial axes "
            f"and no empty axis, got {array.shape}. Is it the kernel of another cell?"
        )


def count_gates(name: str, columns: int, hidden_size: int, known: Iterable[int]) -> int:
    """G, from the G*H columns of a matrix. Raises unless G is one of `known`."""
    gates, rest = divmod(columns, hidden_size)
    if rest or gates not in known:
        raise ValueError(
            f"`{name}` has {columns} gate units for {hidden_size} hidden units, which is "
            f"{columns / hidden_size:g} gates. An LSTM has 4 gates, a GRU 3 and a vanilla RNN 1; "
            f"expected one of {sorted(known)} here."
        )
    return gates


def _listed(names: set[str]) -> str:
    shown = sorted(names)[:6]
    return f"[{', '.join(shown)}{', ...' if len(names) > len(shown) else ''}]"
