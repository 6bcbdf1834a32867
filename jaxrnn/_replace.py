"""A file that is the old one or the new one, whole, whatever happens while it is written."""

import os
import pathlib
import secrets
import shutil
from collections.abc import Iterable
from typing import BinaryIO


def replace_file(path: str | os.PathLike, chunks: Iterable[bytes]) -> None:
    """Writes `chunks` to `path`, in place of what is there.

    The new file has no name, or another one, until it is whole and on the disk. A symbolic link
    stays one: what it points to is replaced.

    Raises:
      ValueError: `path` is there and is no file.
      OSError: it could not be written; what was there is left as it was.
    """
    path = pathlib.Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise ValueError(f"`path` must be that of a file, and `{path}` is a folder or a device.")
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with _create(temporary) as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
            _give_name(file, temporary)
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _create(path: pathlib.Path) -> BinaryIO:
    """A new file in the folder of `path`; without a name where Linux can do so.

    Of a file without a name nothing is left where the process is killed.
    """
    if hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd"):
        try:
            return open(os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb")
        except OSError:  # some file systems cannot; other reasons are met again below
            pass
    return open(path, "xb")


def _give_name(file: BinaryIO, path: pathlib.Path) -> None:
    if not isinstance(file.name, int):
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:  # `os.link` follows the link in /proc only where it is given a folder
        os.link(f"/proc/self/fd/{file.fileno()}", path.name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(folder)


def _sync_folder(folder: pathlib.Path) -> None:
    """Waits until the name, too, is on the disk. Windows opens no folders."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
