"""Which names a room of the library hands to ``import *``."""

import inspect
from collections.abc import Mapping
from typing import Any


def functions(names: Mapping[str, Any]) -> list[str]:
    """The public functions among these names: their types stay in the room."""
    return sorted(
        name
        for name, thing in names.items()
        if inspect.isfunction(thing) and not name.startswith("_")
    )
