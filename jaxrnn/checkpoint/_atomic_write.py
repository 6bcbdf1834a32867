"""Atomic file replacement."""

import os
import pathlib
import secrets
import shutil
from collections.abc import Iterable
from typing import BinaryIO

from jaxrnn._core.checks import as_path


def write_atomically(path: str | os.PathLike, chunks: Iterable[bytes]) -> None:
    """Writes `chunks` to `path`, which always holds either the old file or the complete new one.

    The new file is unnamed or has a temporary name until it is on disk, and is then moved to
    `path`. If `path` is a symbolic link, the file that it points to is replaced.

    Raises:
      ValueError: `path` exists and is not a regular file.
      OSError: writing failed. The old file is left unchanged.
    """
    path = pathlib.Path(os.path.realpath(as_path(path)))
    if path.exists() and not path.is_file():
        raise ValueError(f"`path` must be a regular file, but `{path}` is a directory or a device.")
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with _create(temporary) as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
            _link(file, temporary)
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _create(path: pathlib.Path) -> BinaryIO:
    """Opens a new file in the directory of `path`, unnamed on Linux and named `path` elsewhere.

    The kernel deletes an unnamed file if the process is killed.
    """
    if hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd"):
        try:
            return open(os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb")
        except OSError:  # not supported by this file system, or an error that `open` will repeat
            pass
    return open(path, "xb")


def _link(file: BinaryIO, path: pathlib.Path) -> None:
    """Gives an unnamed file the name `path`."""
    if not isinstance(file.name, int):
        return
    directory = os.open(path.parent, os.O_RDONLY)
    try:  # `os.link` follows the link in /proc only if it is given a directory descriptor
        source = f"/proc/self/fd/{file.fileno()}"
        os.link(source, path.name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(directory)


def _sync_directory(directory: pathlib.Path) -> None:
    """Waits until the new name is on disk, too. Windows cannot open directories."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
