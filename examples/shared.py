"""What the examples share: a command line made of their constants, their data, and their files.

    options = shared.options(__doc__, OPTIONS, QUICK, arguments)
    for step in shared.until_interrupted(range(options.steps), scores): ...

Ctrl-C ends a training loop, and the example goes on with what it has learned until then. A second
one ends the program. A file in the folder `--out` is always a complete one, of this run or of the
one before, also if two runs write to the folder at a time.
"""

import argparse
import contextlib
import gzip
import io
import os
import signal
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxrnn import training

DATA = Path(__file__).parent / "data"


# --- The command line ---


def options(
    doc: str,
    constants: Mapping[str, tuple],
    quick: Mapping[str, Any],
    arguments: list[str] | None = None,
) -> argparse.Namespace:
    """The constants of an example, as its command line sets them, and `out`, an existing folder.

    Args:
      doc: the docstring of the example; its first line begins the help.
      constants: see `parser`.
      quick: the constants that `--quick` changes, so that the example runs in seconds.
      arguments: the command line; None means `sys.argv`.
    """
    made = parser(doc, constants)
    made.add_argument("--quick", action="store_true", help="a few steps only, to see that it runs")
    given = vars(made.parse_args(arguments))
    chosen = defaults(constants) | (dict(quick) if given.get("quick") else {}) | given
    chosen["out"] = make_folder(chosen.get("out", default_folder()))
    return argparse.Namespace(**chosen)


def parser(doc: str, constants: Mapping[str, tuple]) -> argparse.ArgumentParser:
    """A parser with an option for each constant, and `--out`. It leaves out what is not given.

    Args:
      doc: a text; its first line begins the help.
      constants: by name ``(default, help)`` or ``(default, help, low, high)``. An int is at least
        1, or 0 if that is its default, and a float at least 0. A tuple of words is a choice, whose
        default is the first.
    """
    about = doc.split("\n")[0]
    made = argparse.ArgumentParser(description=about, argument_default=argparse.SUPPRESS)
    for name, (default, text, *limits) in constants.items():
        flag, text = f"--{name.replace('_', '-')}", text.replace("%", "%%")
        if isinstance(default, tuple):
            made.add_argument(flag, choices=default, help=f"{text} (default: {default[0]})")
        else:
            parse = type(default)
            if not isinstance(default, str):
                parse = _number(parse, *(limits or (min(default, 1) if parse is int else 0,)))
            made.add_argument(flag, type=parse, help=f"{text} (default: {default!r})")
    text = f"folder of the files that are written (default: {default_folder()})"
    made.add_argument("--out", type=Path, help=text)
    return made


def defaults(constants: Mapping[str, tuple]) -> dict[str, Any]:
    """The default of each constant."""
    firsts = {name: constant[0] for name, constant in constants.items()}
    return {name: x[0] if isinstance(x, tuple) else x for name, x in firsts.items()}


def default_folder() -> Path:
    """``runs/NAME`` for the program ``NAME.py``."""
    return Path("runs", Path(sys.argv[0]).stem)


def make_folder(path: Path) -> Path:
    """The folder, which then exists; ends the program with a message if it cannot."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        sys.exit(f"--out: expected a folder, got the file {path}.")
    except OSError as error:
        sys.exit(f"--out: expected a folder that can be written to, got {path}: {error}")
    return path


def _number(kind: type, low: float, high: float = 1_000_000_000) -> Callable[[str], Any]:
    def parse(text):
        with contextlib.suppress(ValueError):
            if low <= kind(text) <= high:
                return kind(text)
        name = "a whole number" if kind is int else "a number"
        raise argparse.ArgumentTypeError(f"expected {name} from {low:,} to {high:,}, got {text!r}")

    return parse


# --- Training ---


def until_interrupted(
    iterable: Iterable, scores: Mapping[str, Any] | None = None, **options: Any
) -> Iterator:
    """The items, under a progress bar, until Ctrl-C is pressed; see `training.progress`.

    A loop whose programs are long should wait for each, as by reading its loss: JAX returns before
    it has computed, and what is queued is not interrupted.
    """
    with first_interrupt() as pressed:
        for item in training.progress(iterable, scores, **options):
            yield item
            if pressed:
                print("Ctrl-C: going on with what is learned so far.", file=sys.stderr)
                break


@contextlib.contextmanager
def first_interrupt() -> Iterator[list]:
    """Yields a list that the first Ctrl-C fills; the second ends the program at once."""
    pressed = []

    def press(signal_number, frame):
        pressed.append(signal_number)
        signal.signal(signal.SIGINT, lambda *_: sys.exit(130))

    before = signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


# --- Files ---


def load_arrays(name: str) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file of `examples/data`; ends the program if it is damaged."""
    with _content(name) as content:
        if damaged := zipfile.ZipFile(io.BytesIO(content)).testzip():  # NumPy checks no checksum
            raise zipfile.BadZipFile(f"{damaged} does not fit its checksum")
        return dict(np.load(io.BytesIO(content), allow_pickle=False))


def load_text(name: str) -> str:
    """The text of a ``.gz`` file of `examples/data`; ends the program if it is damaged."""
    with _content(name) as content:
        return gzip.decompress(content).decode()


def load_lines(name: str) -> list[str]:
    """The lines of a ``.gz`` file of `examples/data`; ends the program if it is damaged."""
    return load_text(name).splitlines()


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Handwritten digits of MNIST: levels from 0 to 15, (5000, 14, 14), and classes (5000,)."""
    arrays = load_arrays("mnist5k_14x14_4bit.npz")
    levels = np.stack([arrays["x"] >> 4, arrays["x"] & 15], axis=-1)  # two pixels in a byte
    return levels.reshape(-1, 14, 14), arrays["y"].astype(np.int32)


def split_by_class(classes: np.ndarray, held_out: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random places (N,) to train on and to hold out, `held_out` of each class; by class."""
    order = np.random.default_rng(seed).permutation(len(classes))
    by_class = order[np.argsort(classes[order], kind="stable")].reshape(classes.max() + 1, -1)
    return by_class[:, held_out:].ravel(), by_class[:, :held_out].ravel()


@contextlib.contextmanager
def _content(name):
    path = DATA / name
    try:
        if not (content := path.read_bytes()):
            raise EOFError("it is empty")
        yield content
    except FileNotFoundError:
        sys.exit(f"{path} is missing. Run the example from a complete copy of the project.")
    except (ValueError, EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
        sys.exit(f"{path} is damaged: {error}. Get the file from the project again.")


def save_picture(figure: Any, path: Path) -> None:
    """Writes a matplotlib figure as PNG."""
    with replacing(path) as file:
        figure.savefig(file, format="png", metadata={"Software": None})


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Any]:
    """A new binary file that takes the place of `path` when it is complete."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    print(f"wrote {path}")
