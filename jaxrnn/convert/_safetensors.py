"""Arrays from a safetensors file: data only, nothing in it can run."""

import os
import pathlib

import numpy as np

from jaxrnn._weight_file import check_first_bytes, import_safetensors


def read_safetensors(path: str | os.PathLike, prefix: str) -> dict[str, np.ndarray]:
    """The arrays of a file whose names begin with `prefix`, without it.

    Raises:
      ValueError: the file is not safetensors, cut off, or its header does not fit it.
    """
    path = pathlib.Path(path)
    check_first_bytes(path)
    library = import_safetensors()
    try:
        with library.safe_open(path, framework="np") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    except (library.SafetensorError, TypeError) as error:
        raise ValueError(f"`{path}` is not a whole safetensors file: {error}.") from error
