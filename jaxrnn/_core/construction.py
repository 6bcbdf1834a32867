"""Cells and layers that know how they were made: equality, hashing, and a `repr` that is code."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from jaxrnn._core.equality import fixed_key, items


class Made(NamedTuple):
    """The call that made a cell, a layer or an initializer."""

    text: str  # such as ``lstm(64)``
    key: Hashable | None  # equal for equal calls; None where an argument has no fixed value
    rebuild: tuple  # (function, args, kwargs), for `pickle`


class Constructed:
    """A bundle of functions whose equality, hash and `repr` come from the call that made it.

    Two cells from equal calls are equal, so a program compiled for one serves the other. Without
    such a call, their functions tell: they are equal if they come from one definition and hold
    equal values. A bundle that was given something with a state of its own, such as an array or a
    module, or whose functions hold it, equals only a bundle of the very same functions.
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
    def fixed_key(self) -> Hashable | None:
        """Equal for equal bundles; None for one that holds a state of its own."""
        if self.made is not None:
            return self.made.key
        if "_own_key" not in vars(self):
            self._own_key = fixed_key((type(self), *self))
        return self._own_key

    def __eq__(self, other):
        if type(self) is not type(other):
            return NotImplemented
        if self.fixed_key is None or other.fixed_key is None:
            same = self.fixed_key is other.fixed_key
            return same and all(a is b for a, b in zip(self, other, strict=True))
        return self.fixed_key == other.fixed_key

    def __ne__(self, other):
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __hash__(self):
        # By identity: a function of another library may have no hash of its own.
        return hash(tuple(map(id, self)) if self.fixed_key is None else self.fixed_key)

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
            key = fixed_key((_replaced, self, items(changes)))
            # Not with the first function, which this bundle may share with `self`.
            new._made = Made(text, key, (_replaced, (self,), changes))
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
    arguments = fixed_key(items(bound.arguments))
    key = None if arguments is None else (make, arguments)
    made = Made(text, key, (make, args, kwargs))
    if isinstance(thing, Constructed):
        thing.remember(made)
    else:
        thing.made = made
    return thing


def _without_defaults(bound):
    """Drops the defaults from `bound`; returns the rest as positional and keyword arguments."""
    parameters = bound.signature.parameters
    for name in list(bound.arguments):
        if _is_same(bound.arguments[name], parameters[name].default):
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


def _is_same(value, default):
    """Whether an argument is its default: an equal word or number, or the very same object."""
    if type(value) is type(default) and isinstance(value, (str, int, float)):
        return value == default
    return value is default


def _listed(args, kwargs):
    return ", ".join([*map(_text, args), *(f"{k}={_text(v)}" for k, v in kwargs.items())])


def _text(value):
    if getattr(value, "made", None) is not None:
        return value.made.text
    if isinstance(value, (Constructed, str)) or not callable(value):
        return repr(value)
    return getattr(value, "__name__", type(value).__name__)
