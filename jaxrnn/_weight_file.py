"""A safetensors file of which every byte is checked: data only, nothing in it can run."""

import json
import os
import pathlib
import types
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrnn._replace import replace_file
from jaxrnn._weight_header import check_name, checksum, make_header, read_header

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
    b"PK\x03\x04": "a zip archive, as torch.save and Keras write them",
    b"\x80": "a pickle",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
}
DTYPES = {
    name: np.dtype(dtype)
    for name, dtype in {"BOOL": "bool", **_INTEGERS, **_FLOATS, "C64": "complex64"}.items()
}


class Weights(NamedTuple):
    """What is in a file that `jaxrnn.save` wrote."""

    arrays: dict[str, np.ndarray]  # by name, such as "0.forward.kernel"
    metadata: dict[str, str]


def import_safetensors() -> types.ModuleType:
    """The library; raises with the way to get it."""
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            'Weight files need the library safetensors: `pip install "jaxrnn[convert]"`.'
        ) from error
    return safetensors


def check_first_bytes(path: pathlib.Path) -> None:
    """Raises where `path` is no file, or one of a kind that its first bytes tell."""
    if path.exists() and not path.is_file():
        raise ValueError(
            f"`{path}` is a folder or a device, and no safetensors file. Folders are what orbax "
            "writes: restore them with orbax."
        )
    with path.open("rb") as file:
        start = file.read(16)
    for magic, kind in _OTHERS.items():
        # The length of the header comes first, and may begin with any byte; then comes "{".
        if start.startswith(magic) and start[8:9] != b"{":
            raise ValueError(
                f"`{path}` is {kind}, not safetensors. Opening a pickle runs the code that it "
                "holds, so it is not opened here. Where you trust its origin, load it with its own "
                "library and convert the result, or save it with "
                "`safetensors.torch.save_file(module.state_dict(), path)`."
            )


def write_weights(
    path: str | os.PathLike, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Writes a file that `read_weights`, and any other reader of safetensors, can read."""
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
    replace_file(path, [len(header).to_bytes(8, "little"), header, data])


def read_weights(path: str | os.PathLike) -> Weights:
    """What `jaxrnn.save` wrote, by name: for where there is no layer to fit it to.

    Args:
      path: of the file, of which every byte is checked.

    Returns:
      `Weights`: NumPy arrays by name, and the metadata.

    Raises:
      ValueError: the file is damaged, cut off, or not one that `jaxrnn.save` wrote.
      OSError: it cannot be read.
      ImportError: safetensors is not installed.
    """
    path = pathlib.Path(path)
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
            f"`{path}` is refused: {error}. It was damaged or cut off; copy or download it again."
        ) from error
    return Weights(arrays, metadata)


def _array(name: str, entry: dict, expected: str) -> np.ndarray:
    dtype, shape, data = entry["dtype"], entry["shape"], entry["data"]
    if checksum(name, dtype, shape, data) != expected:
        raise ValueError(f"the bytes of `{name}` have another SHA-256 than when they were saved")
    return np.frombuffer(data, DTYPES[dtype]).reshape(shape)
