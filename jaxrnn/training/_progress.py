"""A progress bar that does not wait for the device."""

import contextlib
import importlib.util
import numbers
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jaxrnn._core.checks import describe


def progress(
    iterable: Iterable, scores: Mapping[str, Any] | None = None, *, every: float | None = None
) -> Iterator:
    """Progress bar for a training loop, with scores. It does not wait for the device at each step.

        scores = {}
        for batch in progress(batches, scores):
            state, scores["loss"] = train_step(state, batch)

    JAX returns from a step before its loss is computed. Reading the loss would wait for it, so
    scores are read only when they are shown, every few tenths of a second. On a terminal where rich
    is installed (the extra `examples`) this is a bar; elsewhere, such as in a log file, a line
    every 10 seconds. Both are written to stderr.

    Args:
      iterable: what to iterate over. If it has a length, the progress is shown relative to it.
      scores: a dict that the loop fills with numbers, or scalars of JAX, by name.
      every: seconds between two updates. None means 0.5 for a bar and 10 for lines.

    Returns:
      An iterator over the items of `iterable`.

    Raises:
      ValueError, TypeError: `iterable` is not iterable, `scores` is not a dict of numbers, or
        `every` is negative.

    Examples:
      >>> scores = {}
      >>> for step in jaxrnn.training.progress(range(3), scores, every=60.0):
      ...     scores["loss"] = jnp.float32(1 / (step + 1))
      >>> step, round(float(scores["loss"]), 3)
      (2, 0.333)
    """
    if not isinstance(iterable, Iterable):
        raise TypeError(f"`iterable` must be iterable, got {describe(iterable)}.")
    if not isinstance(scores, Mapping | None):
        raise TypeError(f"`scores` must be a dict of numbers by name, got {describe(scores)}.")
    has_bar = sys.stderr.isatty() and importlib.util.find_spec("rich") is not None
    every = (0.5 if has_bar else 10.0) if every is None else every
    if not isinstance(every, numbers.Real) or not every >= 0:
        raise ValueError(f"`every` must be a number of seconds, 0 or more, got {every!r}.")
    total = len(iterable) if hasattr(iterable, "__len__") else None
    return _shown(iterable, scores, every, (_bar if has_bar else _lines)(total))


def _shown(iterable, scores, every, display):
    done, shown, last = 0, None, time.monotonic()
    with display as draw:
        try:
            for item in iterable:
                yield item
                done += 1
                if time.monotonic() - last >= every:
                    draw(done, _text(scores))
                    shown, last = done, time.monotonic()
        finally:
            if shown != done:
                draw(done, _text(scores))


def _text(scores):
    return "  ".join(f"{name} {_number(name, x):.4g}" for name, x in (scores or {}).items())


def _number(name, x):
    try:
        return float(x)  # waits for the device
    except (TypeError, ValueError) as error:
        raise TypeError(f"`scores[{name!r}]` must be one number, got {describe(x)}.") from error


@contextlib.contextmanager
def _bar(total):
    import rich.console
    import rich.progress as parts

    columns = parts.BarColumn(), parts.MofNCompleteColumn(), parts.TimeRemainingColumn()
    columns += (parts.TextColumn("{task.description}", markup=False),)
    console = rich.console.Console(stderr=True)
    with parts.Progress(*columns, console=console, auto_refresh=False) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, text: bar.update(task, completed=done, description=text, refresh=True)


@contextlib.contextmanager
def _lines(total):
    began, of = time.monotonic(), "" if total is None else f"/{total}"

    def draw(done, text):
        seconds = time.monotonic() - began
        print(f"{done}{of}  {seconds:.0f} s  {text}".rstrip(), file=sys.stderr, flush=True)

    yield draw
