"""Arrays from a safetensors file: data only, nothing in it can run."""

import os
import pathlib

import numpy as np

_OTHERS = {
    b"PK\x03\x04": "a zip archive, as torch.save and Keras write them",
    b"\x80": "a pickle",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
}


def read_safetensors(path: str | os.PathLike, prefix: str) -> dict[str, np.ndarray]:
    """The arrays of a file whose names begin with `prefix`, without it.

    Raises:
      ValueError: the file is not safetensors, cut off, or its header does not fit it.
    """
    path = pathlib.Path(path)
    _check_first_bytes(path)
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    except (safetensors.SafetensorError, TypeError) as error:
        raise ValueError(f"`{path}` is not a whole safetensors file: {error}.") from error


def _check_first_bytes(path: pathlib.Path) -> None:
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
