"""The file of a run on an accelerator: lines of JSON for the machine, each time, and the end."""

import json
import pathlib
from typing import Any, NamedTuple

FORMAT = 1
REFERENCES = (
    "nothing",
    "product",
    "copy",
)  # measure the device itself; other workloads are compared with them
# The fields that each kind of line must have, with their types.
FIELDS = {
    "machine": {"format": int, "device": str, "platform": str, "jax": str, "versions": dict},
    "time": {"workload": str, "pass": str, "contestant": str, "milliseconds": (int, float)},
    "left out": {"workload": str, "pass": str, "contestant": str, "reason": str},
    "end": {"seconds": (int, float), "reason": str},
}
Key = tuple[str, str, str]  # workload, pass, contestant


class Writer:
    """Writes a record line by line, so that what ends a run early costs only the rest."""

    def __init__(self, path: pathlib.Path):
        self.file = path.open("w")

    def write(self, kind: str, **fields: Any) -> None:
        """Adds a line."""
        self.file.write(json.dumps({"line": kind} | fields) + "\n")
        self.file.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


class Run(NamedTuple):
    """What a file holds."""

    path: pathlib.Path
    machine: dict[str, Any]
    times: dict[Key, dict[str, Any]]
    left_out: dict[Key, str]  # and why
    end: str | None  # how it ended; None where the file breaks off


def read(path: pathlib.Path) -> Run:
    """Reads a file.

    Raises:
      ValueError: it is none, or is malformed; names the file, the line and the cause.
      OSError: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: no text in UTF-8 ({error.reason} at byte {error.start})."
        ) from None
    lines = [_parsed(path, n, line) for n, line in enumerate(text.splitlines(), 1)]
    if not lines:
        raise ValueError(f"{path}: empty. A record begins with a line about the machine.")
    machine, times, left_out, end = lines[0], {}, {}, None
    if machine["line"] != "machine":
        raise ValueError(f"{path}, line 1: must be about the machine, not {machine['line']!r}.")
    if machine["format"] != FORMAT:
        raise ValueError(
            f"{path}, line 1: has format {machine['format']}, and this reads {FORMAT}. Compare "
            "with the version of jaxrnn that wrote it."
        )
    for n, line in enumerate(lines[1:], 2):
        if line["line"] == "machine":
            raise ValueError(
                f"{path}, line {n}: a second machine. Is this two records in one file?"
            )
        if line["line"] == "end":
            end = line["reason"]
            continue
        key = line["workload"], line["pass"], line["contestant"]
        if key in times or key in left_out:
            raise ValueError(f"{path}, line {n}: {' '.join(key)} is there twice.")
        if line["line"] == "time":
            times[key] = line
        else:
            left_out[key] = line["reason"]
    return Run(path, machine, times, left_out, end)


def _parsed(path, n, text):
    where = f"{path}, line {n}"
    try:
        line = json.loads(text)
    except json.JSONDecodeError as error:
        cause = f"{error.msg} at character {error.pos + 1}"
        raise ValueError(f"{where}: no JSON ({cause}). Was the file cut off or edited?") from None
    kind = line.get("line") if isinstance(line, dict) else None
    if kind not in FIELDS:
        raise ValueError(
            f'{where}: must be an object with "line" one of {list(FIELDS)}, got {text[:60]!r}.'
        )
    for name, wanted in FIELDS[kind].items():
        if name not in line:
            raise ValueError(f"{where}: {name!r} is missing.")
        if not isinstance(line[name], wanted) or isinstance(line[name], bool):
            raise ValueError(f"{where}: {name!r} cannot be {line[name]!r}.")
    if kind == "time" and not 0 < line["milliseconds"] < float("inf"):
        raise ValueError(f"{where}: 'milliseconds' must be above 0, got {line['milliseconds']}.")
    return line
