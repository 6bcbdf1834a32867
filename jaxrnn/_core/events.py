"""Watching what a model does while it is traced: which layers run, and which engine runs a cell."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

_events = contextvars.ContextVar("events", default=None)


@contextlib.contextmanager
def recording() -> Iterator[list]:
    """A list that receives whatever is recorded within this block."""
    events = []
    token = _events.set(events)
    try:
        yield events
    finally:
        _events.reset(token)


@contextlib.contextmanager
def silently() -> Iterator[None]:
    """Within this block nothing is recorded: it only asks for shapes."""
    token = _events.set(None)
    try:
        yield
    finally:
        _events.reset(token)


def record(event: Any) -> None:
    """Adds `event` to the list of the `recording` around this call, if there is one."""
    events = current()
    if events is not None:
        events.append(event)


def current() -> list | None:
    """The list of the `recording` around this call, if there is one."""
    return _events.get()
