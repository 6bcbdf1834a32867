"""The header of a weight file: names, dtypes, shapes and places, metadata, and checksums of all.

A safetensors file is the length of its header in 8 bytes, the header in JSON, and the arrays. Any
reader of safetensors takes the checksums for metadata, which they are.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, BinaryIO

MAX_BYTES, MAX_ARRAYS = 8 << 20, 100_000
RESERVED = "jaxrnn."  # how no other metadata may begin
_FORMAT, _VERSION = "jaxrnn.format", "1"
_SEAL = "jaxrnn.header_sha256"  # of the header with nothing here
_SUM = "jaxrnn.sha256."  # and the name of an array: of its name, dtype, shape and bytes
_METADATA = "__metadata__"


def checksum(name: str, dtype: str, shape: list[int], data: Any) -> str:
    """The SHA-256 of an array, and of what the header says of it."""
    digest = hashlib.sha256(json.dumps([name, dtype, list(shape)]).encode())
    digest.update(data)
    return digest.hexdigest()


def make_header(
    entries: Mapping[str, dict], sums: Mapping[str, str], metadata: Mapping[str, str]
) -> bytes:
    """The header of arrays with these `entries` and checksums; raises where it is too long."""
    own = {_FORMAT: _VERSION, _SEAL: "", **{_SUM + name: value for name, value in sums.items()}}
    header = _sealed({_METADATA: own | dict(metadata), **entries})
    if len(header) > MAX_BYTES or len(entries) > MAX_ARRAYS:
        raise ValueError(
            f"{len(entries)} arrays and `metadata` need a header of {len(header)} bytes; at most "
            f"{MAX_ARRAYS} arrays and {MAX_BYTES} bytes can be read again. Stack arrays of one "
            "shape, or keep the metadata in a file of their own."
        )
    return header


def read_header(path: pathlib.Path, file: BinaryIO) -> tuple[dict[str, str], dict[str, str]]:
    """The checksums by name, and the metadata; raises unless the header is as it was made."""
    raw = file.read(read_length(path, file))
    header = _parsed(path, raw)
    metadata = header.get(_METADATA)
    if not isinstance(metadata, dict) or _FORMAT not in metadata:
        raise ValueError(
            f"`{path}` has no checksums of `jaxrnn.save`. Of another library, read it with "
            "`jaxrnn.convert.from_torch(path)`, or with `safetensors.numpy.load_file(path)` and "
            "what `jaxrnn.convert` has for that library. If `jaxrnn.save` wrote it, it is damaged."
        )
    if _sealed(header) != raw or metadata[_FORMAT] != _VERSION:
        raise ValueError(
            f"`{path}` is refused: its header is damaged, or of a later version of jaxrnn. Copy "
            "or download it again."
        )
    for name in header.keys() - {_METADATA}:
        check_name(name, f"`{path}`")
    _check_end(path, header, os.fstat(file.fileno()).st_size - 8 - len(raw))
    sums = {k.removeprefix(_SUM): v for k, v in metadata.items() if k.startswith(_SUM)}
    return sums, {k: v for k, v in metadata.items() if not k.startswith(RESERVED)}


def read_length(path: pathlib.Path, file: BinaryIO) -> int:
    """The length of the header, the first 8 bytes; raises where it cannot be."""
    size, start = os.fstat(file.fileno()).st_size, file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > min(size - 8, MAX_BYTES):
        raise ValueError(
            f"`{path}` is not a whole safetensors file: it has {size} bytes, and announces a "
            f"header of {length}, which may have {MAX_BYTES}. It was cut off or damaged, or is of "
            "another kind."
        )
    return length


def check_name(name: str, where: str) -> None:
    """Raises where a program that takes the name of an array for a path would leave its folder."""
    path = pathlib.PureWindowsPath(name)  # which knows both kinds of slashes, and drives
    if path.anchor or ".." in path.parts or not name.isprintable() or name == _METADATA:
        raise ValueError(
            f"{where} names an array {name!r}, which is refused: no absolute path, no `..`, "
            f"nothing that cannot be printed and no {_METADATA!r}. Give it a key of another name."
        )


def _check_end(path: pathlib.Path, header: dict[str, Any], size: int) -> None:
    """Raises where the arrays, of which the file has `size` bytes, are cut off."""
    for name, entry in header.items():
        match entry:
            case {"data_offsets": [int(), int(end)]} if end > size:
                raise ValueError(
                    f"`{path}` is cut off: `{name}` and what follows it are not whole. Copy or "
                    "download it again."
                )


def _parsed(path: pathlib.Path, raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"`{path}` is not a whole safetensors file: its header is no JSON ({error}). It was "
            "cut off or damaged, or is of another kind."
        ) from error
    if not isinstance(header, dict) or len(header) > MAX_ARRAYS + 1:
        raise ValueError(
            f"`{path}` is refused: its header must be a dict with at most {MAX_ARRAYS} arrays, got "
            f"a {type(header).__name__} of {len(header) if isinstance(header, dict) else raw[:20]}."
        )
    return header


def _sealed(header: dict[str, Any]) -> bytes:
    """The one way to write `header`, with the checksum of all else that is in it."""
    metadata = header[_METADATA]
    blank = header | {_METADATA: metadata | {_SEAL: ""}}
    seal = hashlib.sha256(_dumped(blank)).hexdigest()
    return _dumped(header | {_METADATA: metadata | {_SEAL: seal}})


def _dumped(header: dict[str, Any]) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)  # so that the arrays are aligned
