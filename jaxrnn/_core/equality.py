"""A hashable stand-in for a value that cannot change: equal for equal values, functions included.

Two functions from one `def` are equal if what they hold is: the values of their closure, their
defaults, and the globals that they read. A value that can change, such as an array, a list that a
function holds, or a module of another library, has no stand-in.
"""

import dataclasses
import dis
import functools
import inspect
import types
from collections.abc import Hashable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_CONSTANTS = bool, int, float, complex, str, bytes, type(None), type(Ellipsis), np.dtype, type
_PURE = {"jax", "jaxlib", "jaxrnn", "numpy"}  # their functions read no state


def items(named: dict) -> tuple:
    """Names and values, as what cannot change; a dict itself can."""
    return tuple(named.items())


class NotFixedError(Exception):
    """A value has no stand-in."""


def fixed_key(value: Any) -> Hashable | None:
    """The stand-in of `value`; None if there is none."""
    try:
        return fixed(value)
    except NotFixedError:
        return None


def fixed(value: Any, seen: frozenset = frozenset()) -> Hashable:
    """The stand-in of `value`.

    Args:
      value: anything.
      seen: ids of the functions that are being looked at, for those that hold themselves.

    Raises:
      NotFixedError: it has none.
    """
    if isinstance(value, _CONSTANTS):
        return type(value), value
    if isinstance(value, np.generic):
        return type(value), value.item()
    if hasattr(type(value), "fixed_key"):  # a cell, a layer, an initializer
        return _known(value.fixed_key)
    if isinstance(value, tuple):
        return type(value), tuple(fixed(item, seen) for item in value)
    if isinstance(value, types.ModuleType):
        return types.ModuleType, value.__name__
    if isinstance(value, functools.partial):
        return functools.partial, fixed((value.func, value.args, items(value.keywords)), seen)
    if _is_frozen_dataclass(value):
        fields = tuple(getattr(value, field.name) for field in dataclasses.fields(value))
        return type(value), fixed(fields, seen)
    return _of_callable(value, seen)


def _known(key):
    if key is None:
        raise NotFixedError
    return key


def _is_frozen_dataclass(value):
    parameters = getattr(type(value), "__dataclass_params__", None)
    return parameters is not None and parameters.frozen


def _of_callable(value, seen):
    if getattr(value, "made", None) is not None:  # by a recorded call
        return _known(value.made.key)
    if inspect.isbuiltin(value) or isinstance(value, np.ufunc) or _is_ufunc_of_jax(value):
        return type(value), _hashed(value)
    if inspect.isfunction(value):
        return _of_function(value, seen)
    if isinstance(value, (jax.custom_jvp, jax.custom_vjp)):
        rules = tuple(vars(value).get(name) for name in ("fun", "jvp", "fwd", "bwd"))
        return id(value), _hashed(value), fixed(rules, seen)
    if callable(value) and hasattr(value, "__wrapped__") and not inspect.ismethod(value):
        return id(value), _hashed(value), fixed(value.__wrapped__, seen)  # such as jax.jit's
    raise NotFixedError


def _is_ufunc_of_jax(value):
    """Whether `value` is a ufunc of `jax.numpy`. A user's own ufunc may wrap mutable state."""
    return isinstance(value, jnp.ufunc) and getattr(jnp, value.__name__, None) is value


def _hashed(value):
    try:
        hash(value)
    except TypeError as error:
        raise NotFixedError from error
    return value


def _of_function(function, seen):
    code = function.__code__
    who = id(code), code  # two definitions may have equal code, and differ in what it refers to
    if id(function) in seen:
        return who
    seen |= {id(function)}
    held = function.__defaults__, items(function.__kwdefaults__ or {}), *_closure(function)
    if (function.__module__ or "").partition(".")[0] not in _PURE:
        held += _globals(function)
    return who, fixed(held, seen)


def _closure(function):
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError as error:  # not filled yet
            raise NotFixedError from error


def _globals(function):
    read = function.__globals__
    return tuple((name, read[name]) for name in sorted(_names(function.__code__)) if name in read)


@functools.lru_cache(maxsize=1024)
def _names(code: types.CodeType) -> frozenset[str]:
    """The names of globals that a function reads, and the functions within it."""
    return frozenset(_each_name(code))


def _each_name(code) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _each_name(constant)
