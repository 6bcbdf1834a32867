"""Cells and layers that know how they were made: equality, hashing, and a `repr` that is code."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np


class Made(NamedTuple):
    """The call that made a cell, a layer or an initializer."""

    text: str  # such as ``lstm(64)``
    key: Hashable | None  # equal for equal calls; None where an argument has no fixed value
    rebuild: tuple  # (function, args, kwargs), for `pickle`


class Constructed:
    """A bundle of functions whose equality, hash and `repr` come from the call that made it.

    Two cells from equal calls are equal, so a program compiled for one serves the other. Without
    such a call, or where it was given something with a state of its own (an array, a function with
    a closure), a bundle equals only a bundle of the very same functions.
    """

    @property
    def made(self) -> Made | None:
        """The call that made this bundle, if it is known.

        It is kept with the first function too: Flax copies tuples, field by field.
        """
        if "_made" in vars(self):
            return self._made
        functions, made = getattr(self[0], "made_bundle", ((), None))
        same = len(functions) == len(self) and all(
            a is b for a, b in zip(functions, self, strict=True)
        )
        return made if same else None

    def remember(self, made: Made) -> None:
        """Keeps the call that made this bundle."""
        self._made = made
        with contextlib.suppress(AttributeError, TypeError):  # not every function takes attributes
            self[0].made_bundle = tuple(self), made

    @property
    def key(self) -> Hashable | None:
        """Equal for equal calls of one constructor; None where this is not known."""
        return self.made.key if self.made else None

    def __eq__(self, other):
        if type(self) is not type(other):
            return NotImplemented
        if self.key is None or other.key is None:
            return self.key is other.key and tuple.__eq__(self, other)
        return self.key == other.key

    def __ne__(self, other):
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __hash__(self):
        return tuple.__hash__(self) if self.key is None else hash(self.key)

    def __repr__(self):
        return self.made.text if self.made else super().__repr__()

    def __reduce__(self):
        if self.made is None:
            return type(self), tuple(self)
        function, args, kwargs = self.made.rebuild
        return functools.partial(function, *args, **kwargs), ()

    def _replace(self, **changes: Any) -> Any:
        """This bundle with other functions in these fields."""
        new = super()._replace(**changes)
        if self.made is not None:
            text = f"{self!r}._replace({_listed((), changes)})"
            key = _key((_replaced, self, changes))
            new.remember(Made(text, key, (_replaced, (self,), changes)))
        return new


def _replaced(thing, **changes):
    return thing._replace(**changes)


def recorded(build: Callable, finish: Callable[[Any], Any] = lambda thing: thing) -> Callable:
    """`build`, recording the call that made each thing, which `finish` may change before."""
    signature = inspect.signature(build)

    @functools.wraps(build)
    def make(*args, **kwargs):
        thing = finish(build(*args, **kwargs))
        return _remember(thing, signature.bind(*args, **kwargs), make)

    return make


def _remember(thing, bound, make):
    args, kwargs = bound.args, bound.kwargs
    given = _without_defaults(bound)
    text = f"{make.__name__}({_listed(*given)})"
    made = Made(text, _key((make, dict(bound.arguments))), (make, args, kwargs))
    if isinstance(thing, Constructed):
        thing.remember(made)
    else:
        thing.made = made
    return thing


def _without_defaults(bound):
    """Drops the defaults from `bound`; returns the rest as positional and keyword arguments."""
    parameters = bound.signature.parameters
    for name in list(bound.arguments):
        if bound.arguments[name] is parameters[name].default:
            del bound.arguments[name]
    args, kwargs, positional = [], {}, True
    for name, parameter in parameters.items():
        if name not in bound.arguments:
            positional = False
        elif parameter.kind is parameter.VAR_POSITIONAL:
            args += bound.arguments[name]
        elif positional and parameter.kind is not parameter.KEYWORD_ONLY:
            args.append(bound.arguments[name])
        else:
            kwargs[name] = bound.arguments[name]
    return args, kwargs


def _listed(args, kwargs):
    return ", ".join([*map(_text, args), *(f"{k}={_text(v)}" for k, v in kwargs.items())])


def _text(value):
    if getattr(value, "made", None) is not None:
        return value.made.text
    if isinstance(value, (Constructed, str)) or not callable(value):
        return repr(value)
    return getattr(value, "__name__", type(value).__name__)


class _NoFixedValue(Exception):
    pass


def _key(value):
    try:
        return _fixed(value)
    except _NoFixedValue:
        return None


def _fixed(value):
    """A hashable stand-in for `value`, equal for equal values; raises where there is none."""
    if value is None or isinstance(value, (bool, int, float, complex, str, np.dtype, type)):
        return type(value), value
    if isinstance(value, np.generic):
        return type(value), value.item()
    if getattr(value, "key", None) is not None and isinstance(value, Constructed):
        return value.key
    if getattr(value, "made", None) is not None and value.made.key is not None:
        return value.made.key
    if isinstance(value, (Constructed, Made)):
        raise _NoFixedValue
    if isinstance(value, (tuple, list)):
        return type(value), tuple(map(_fixed, value))
    if isinstance(value, dict):
        return dict, tuple((k, _fixed(v)) for k, v in value.items())
    if callable(value) and _is_stateless(value):
        return value
    raise _NoFixedValue


def _is_stateless(function):
    """Whether this is a function that reads nothing but its arguments and its module."""
    plain = inspect.unwrap(function)
    if inspect.isbuiltin(plain):
        return True
    return inspect.isfunction(plain) and plain.__closure__ is None
