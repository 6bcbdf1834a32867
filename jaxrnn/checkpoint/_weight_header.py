"""The header of a weight file: names, dtypes, shapes and offsets, metadata, and checksums.

A safetensors file consists of the header length in 8 bytes, a JSON header, and the arrays. The
checksums are ordinary safetensors metadata, which other readers ignore.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, BinaryIO

MAX_BYTES, MAX_ARRAYS = 8 << 20, 100_000
RESERVED = "jaxrnn."  # a prefix that user metadata may not have
_FORMAT, _VERSION = "jaxrnn.format", "1"
_SEAL = "jaxrnn.header_sha256"  # of the header in which this entry is empty
_SUM = "jaxrnn.sha256."  # followed by the name of an array
_METADATA = "__metadata__"


def checksum(name: str, dtype: str, shape: list[int], data: Any) -> str:
    """The SHA-256 of the name, dtype, shape and bytes of an array."""
    digest = hashlib.sha256(json.dumps([name, dtype, list(shape)]).encode())
    digest.update(data)
    return digest.hexdigest()


def make_header(
    entries: Mapping[str, dict], sums: Mapping[str, str], metadata: Mapping[str, str]
) -> bytes:
    """The header for these `entries` and checksums. Raises if it would be too long."""
    own = {_FORMAT: _VERSION, _SEAL: "", **{_SUM + name: value for name, value in sums.items()}}
    header = _sealed({_METADATA: own | dict(metadata), **entries})
    if len(header) > MAX_BYTES or len(entries) > MAX_ARRAYS:
        raise ValueError(
            f"{len(entries)} arrays and `metadata` need a header of {len(header)} bytes. The "
            f"limits are {MAX_ARRAYS} arrays and {MAX_BYTES} bytes. Stack arrays of equal shape, "
            "or keep the metadata in a separate file."
        )
    return header


def read_header(path: pathlib.Path, file: BinaryIO) -> tuple[dict[str, str], dict[str, str]]:
    """The checksums by array name, and the user metadata. Raises if the header is damaged."""
    raw = file.read(read_length(path, file))
    header = _parsed(path, raw)
    metadata = header.get(_METADATA)
    if not isinstance(metadata, dict) or _FORMAT not in metadata:
        raise ValueError(
            f"`{path}` has no checksums from `jaxrnn.checkpoint.save`. If torch wrote it, read it "
            "with `jaxrnn.convert.from_torch(path)`; if another library did, read it with "
            "`safetensors.numpy.load_file(path)` and convert the arrays with `jaxrnn.convert`. If "
            "`jaxrnn.checkpoint.save` wrote it, it is damaged."
        )
    if _sealed(header) != raw or metadata[_FORMAT] != _VERSION:
        raise ValueError(
            f"The header of `{path}` is damaged, or a later version of jaxrnn wrote it. Copy or "
            "download it again, or update jaxrnn."
        )
    for name in header.keys() - {_METADATA}:
        check_name(name, f"`{path}`")
    _check_end(path, header, os.fstat(file.fileno()).st_size - 8 - len(raw))
    sums = {k.removeprefix(_SUM): v for k, v in metadata.items() if k.startswith(_SUM)}
    return sums, {k: v for k, v in metadata.items() if not k.startswith(RESERVED)}


def read_length(path: pathlib.Path, file: BinaryIO) -> int:
    """The length of the header, from the first 8 bytes. Raises if it is impossible."""
    size, start = os.fstat(file.fileno()).st_size, file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > min(size - 8, MAX_BYTES):
        raise ValueError(
            f"`{path}` is not a valid safetensors file: it has {size} bytes and declares a header "
            f"of {length}; at most {MAX_BYTES} are allowed. It is truncated, damaged or of another "
            "format."
        )
    return length


def check_name(name: str, where: str) -> None:
    """Raises if an array name, used as a relative path, could leave the current directory."""
    path = pathlib.PureWindowsPath(name)  # understands both kinds of slashes, and drives
    if path.anchor or ".." in path.parts or not name.isprintable() or name == _METADATA:
        raise ValueError(
            f"{where} has an array named {name!r}. A name must not be an absolute path, contain "
            f"`..` or unprintable characters, or be {_METADATA!r}. Use another key for it."
        )


def _check_end(path: pathlib.Path, header: dict[str, Any], size: int) -> None:
    """Raises if an array would end after the `size` bytes of data in the file."""
    for name, entry in header.items():
        match entry:
            case {"data_offsets": [int(), int(end)]} if end > size:
                raise ValueError(
                    f"`{path}` is truncated: it ends before the end of `{name}`. Copy or download "
                    "it again."
                )


def _parsed(path: pathlib.Path, raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"`{path}` is not a valid safetensors file: its header is not JSON ({error}). It is "
            "truncated, damaged or of another format."
        ) from error
    if not isinstance(header, dict) or len(header) > MAX_ARRAYS + 1:
        raise ValueError(
            f"The header of `{path}` must be a dict with at most {MAX_ARRAYS} arrays, got a "
            f"{type(header).__name__}: {len(header) if isinstance(header, dict) else raw[:20]}."
        )
    return header


def _sealed(header: dict[str, Any]) -> bytes:
    """The canonical encoding of `header`, including its own checksum."""
    metadata = header[_METADATA]
    unsealed = header | {_METADATA: metadata | {_SEAL: ""}}
    seal = hashlib.sha256(_dumped(unsealed)).hexdigest()
    return _dumped(header | {_METADATA: metadata | {_SEAL: seal}})


def _dumped(header: dict[str, Any]) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)  # aligns the arrays
