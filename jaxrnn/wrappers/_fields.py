"""Shared by wrappers that change some of a cell's parameters, given by their fields."""

from typing import Any

from jaxrnn._core.checks import describe


def check_names(fields: Any) -> None:
    """Raises unless `fields` is a tuple of names, not one word."""
    if isinstance(fields, str) or not all(isinstance(field, str) for field in fields):
        raise TypeError(f'`fields` must be a tuple of names such as ("kernel",), got {fields!r}.')


def check_fields(wrapper: str, params: Any, fields: tuple[str, ...]) -> None:
    """Raises unless the parameters have these fields. The message names the `wrapper`."""
    missing = [field for field in fields if not hasattr(params, field)]
    if missing:
        has = ", ".join(getattr(params, "_fields", ())) or describe(params)
        raise ValueError(
            f"`fields` name {', '.join(missing)}, and the parameters of this cell are {has}. Put "
            f"`{wrapper}` inside wrappers that have parameters of their own."
        )
