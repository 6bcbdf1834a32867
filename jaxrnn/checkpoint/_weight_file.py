"""Safetensors files with checksums: arrays by name, and no code to execute."""

import json
import os
import pathlib
import types
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import as_path
from jaxrnn.checkpoint._atomic_write import write_atomically
from jaxrnn.checkpoint._weight_header import check_name, checksum, make_header, read_header

_INTEGERS = {f"{kind.upper()}{8 * size}": f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)}
_FLOATS = {
    "F8_E4M3": jnp.float8_e4m3fn,
    "F8_E5M2": jnp.float8_e5m2,
    "F16": jnp.float16,
    "BF16": jnp.bfloat16,
    "F32": jnp.float32,
    "F64": jnp.float64,
}
_OTHERS = {
    b"PK\x03\x04": "a zip archive, the format of torch.save and Keras",
    b"\x80": "a pickle",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
}
DTYPES = {
    name: np.dtype(dtype)
    for name, dtype in {"BOOL": "bool", **_INTEGERS, **_FLOATS, "C64": "complex64"}.items()
}


class Weights(NamedTuple):
    """The content of a weight file.

    Attributes:
      arrays: NumPy arrays by name, such as ``"0.forward.kernel"``.
      metadata: the strings that were saved with them.
    """

    arrays: dict[str, np.ndarray]
    metadata: dict[str, str]


def import_safetensors() -> types.ModuleType:
    """The safetensors library. Raises with the command that installs it."""
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            'Weight files need the safetensors library: `pip install "jaxrnn[convert]"`.'
        ) from error
    return safetensors


def check_first_bytes(path: pathlib.Path) -> None:
    """Raises if `path` is not a regular file, or if its first bytes show another format."""
    if path.exists() and not path.is_file():
        raise ValueError(
            f"`{path}` is a directory or a device, not a safetensors file. If orbax wrote the "
            "directory, restore it with orbax."
        )
    with path.open("rb") as file:
        start = file.read(16)
    for magic, kind in _OTHERS.items():
        # A safetensors file begins with the header length, which can be any bytes, and then "{".
        if start.startswith(magic) and start[8:9] != b"{":
            raise ValueError(
                f"`{path}` is {kind}, not safetensors. Loading a pickle can execute arbitrary "
                "code, so it was not opened. If you trust its source, load it with the library "
                "that wrote it and convert the result, or save it again with "
                "`safetensors.torch.save_file(module.state_dict(), path)`."
            )


def write_weights(
    path: str | os.PathLike, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Writes a file that `read_weights` and any other safetensors reader can open."""
    library = import_safetensors()
    for name in arrays:
        check_name(name, "`params`")
    content = memoryview(library.numpy.save(dict(arrays)))
    start = 8 + int.from_bytes(content[:8], "little")
    entries, data = json.loads(bytes(content[8:start])), content[start:]
    sums = {
        name: checksum(name, entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
        for name, entry in entries.items()
    }
    header = make_header(entries, sums, metadata)
    write_atomically(path, [len(header).to_bytes(8, "little"), header, data])


def read_weights(path: str | os.PathLike) -> Weights:
    """Reads a file written by `jaxrnn.checkpoint.save` by name, without a layer to load it into.

    Args:
      path: the file to read. Every byte is verified.

    Returns:
      `Weights`: NumPy arrays by name, and the metadata.

    Raises:
      ValueError: the file is damaged, truncated or not written by `jaxrnn.checkpoint.save`.
      OSError: the file cannot be read.
      ImportError: safetensors is not installed.

    Examples:
      >>> params = {"scale": jnp.arange(3.0), "layers": (jnp.zeros(2),)}
      >>> jaxrnn.checkpoint.save("model.safetensors", params, metadata={"step": "100"})
      >>> weights = jaxrnn.checkpoint.read_weights("model.safetensors")
      >>> {name: array.shape for name, array in weights.arrays.items()}
      {'layers.0': (2,), 'scale': (3,)}
      >>> weights.metadata
      {'step': '100'}
    """
    path = as_path(path)
    check_first_bytes(path)
    library = import_safetensors()
    with path.open("rb") as file:
        sums, metadata = read_header(path, file)
        file.seek(0)
        content = file.read()
    try:
        found = library.deserialize(content)
        arrays = {name: _array(name, entry, sums[name]) for name, entry in sorted(found)}
    except (library.SafetensorError, ValueError, KeyError) as error:
        raise ValueError(
            f"`{path}` is damaged or truncated: {error}. Copy or download it again."
        ) from error
    return Weights(arrays, metadata)


def _array(name: str, entry: dict, expected: str) -> np.ndarray:
    dtype, shape, data = entry["dtype"], entry["shape"], entry["data"]
    if checksum(name, dtype, shape, data) != expected:
        raise ValueError(f"the SHA-256 of `{name}` differs from the one that was saved")
    return np.frombuffer(data, DTYPES[dtype]).reshape(shape)
