"""A hashable stand-in for a value that cannot change: equal for equal values, functions included.

Two functions from one `def` are equal if what they hold is: the values of their closure, their
defaults, and the globals that they read, also what they read of classes and modules. A value that
can change, such as an array, a list that a function holds, or a module of Flax, has no stand-in.
"""

import dataclasses
import dis
import enum
import functools
import inspect
import sys
import types
from collections.abc import Hashable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_CONSTANTS = bool, int, float, complex, str, bytes, type(None), type(Ellipsis), np.dtype, type
_CONSTANTS += (enum.Enum,)
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
    if isinstance(value, types.ModuleType) and _is_pure(value.__name__):
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
    if inspect.ismethod(value) and isinstance(value.__self__, type):
        return value.__self__, fixed(value.__func__, seen)
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
    if not _is_pure(function.__module__ or ""):
        held += _globals(function)
    return who, fixed(held, seen)


def _closure(function):
    reads = _reads(function.__code__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError as error:  # not filled yet
            raise NotFixedError from error
        yield from (_found(value, read[1:]) for read in reads if read[0] == name)
        if not any(read[0] == name for read in reads):
            yield value


def _globals(function):
    named, reads = function.__globals__, _reads(function.__code__)
    return tuple((read, _found(named[read[0]], read[1:])) for read in reads if read[0] in named)


def _found(value, attributes):
    """What ``value.a.b`` is, as far as that is in modules and classes, which can change."""
    for name in attributes:
        is_open = isinstance(value, types.ModuleType) and not _is_pure(value.__name__)
        if not is_open and not (isinstance(value, type) and not _is_pure(value.__module__)):
            break
        try:
            value = getattr(value, name)
        except AttributeError as error:
            raise NotFixedError from error
    return value


def _is_pure(module: str) -> bool:
    """Whether functions of a module, such as ``jax.nn``, read no state."""
    root = module.partition(".")[0]
    return root in _PURE or (root in sys.stdlib_module_names and root != "__main__")


@functools.lru_cache(maxsize=1024)
def _reads(code: types.CodeType) -> tuple[tuple[str, ...], ...]:
    """The names that a function, and the functions within it, read: ``a.b.c`` as (a, b, c)."""
    return tuple(sorted(set(_each_read(code))))


def _each_read(code) -> Iterator[tuple[str, ...]]:
    read = ()
    for instruction in dis.get_instructions(code):
        if read and instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            read = *read, instruction.argval
            continue
        if read:
            yield read
        read = (instruction.argval,) if instruction.opname in _LOADS else ()
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _each_read(constant)


_LOADS = "LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"
