"""Arrays from the safetensors files of other libraries."""

import os

import numpy as np

from jaxrnn._core.checks import as_path
from jaxrnn.checkpoint._weight_file import check_first_bytes, import_safetensors
from jaxrnn.checkpoint._weight_header import read_length

_MAX_ARRAYS = 1000


def read_safetensors(path: str | os.PathLike, prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with `prefix`, by the rest of their names.

    Raises:
      ValueError: the file is not a valid safetensors file, or too many arrays begin with `prefix`
        for a recurrent module.
    """
    path = as_path(path)
    check_first_bytes(path)
    library = import_safetensors()
    with path.open("rb") as file:
        read_length(path, file)
    try:
        with library.safe_open(path, framework="np") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            _check_number(path, prefix, len(names))
            return {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    except (library.SafetensorError, TypeError) as error:
        raise ValueError(f"`{path}` is not a valid safetensors file: {error}.") from error


def _check_number(path, prefix, number):
    """Raises before any array is read, because reading many takes a while."""
    if number > _MAX_ARRAYS:
        raise ValueError(
            f"{number} arrays of `{path}` begin with `prefix` = {prefix!r}, but a recurrent module "
            f"has at most {_MAX_ARRAYS}. Pass the prefix of the module, such as 'encoder.'."
        )
