"""Checks of arguments, made before anything is traced deep, and the messages they raise.

Each message names the argument, what was expected, what came, and the likely cause.
"""

import math
import numbers
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def describe(x: Any) -> str:
    """The type of an array in short, ``float32(3, 5)``; of anything else, its type's name."""
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return f"{x.dtype}{tuple(x.shape)}"
    return type(x).__name__


MISSING = object()  # the default of an argument that must be given


def check_given(value: Any, call: str) -> None:
    """Raises if the last argument of a call is missing: most likely the carry was left out."""
    if value is MISSING:
        raise TypeError(
            f"`{call}` needs all of these arguments, and the last one is missing. Without a carry "
            "to start from, pass None for it."
        )


def as_path(path: Any) -> pathlib.Path:
    """`path` as a path; raises unless it is a str or a path."""
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
        raise TypeError(f"`path` must be a str or a pathlib.Path, got {path!r}.")
    return pathlib.Path(path)


def check_size(name: str, value: Any) -> None:
    """Raises TypeError or ValueError, naming `name`, unless `value` is a positive integer.

    Examples:
      >>> jaxrnn.authoring.check_size("hidden_size", 128)
      >>> jaxrnn.authoring.check_size("hidden_size", 0)
      Traceback (most recent call last):
      ValueError: `hidden_size` must be a positive integer, got 0.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be a positive integer, got {value!r}.")
    if value < 1:
        raise ValueError(f"`{name}` must be a positive integer, got {value}.")


def check_count(name: str, value: Any) -> None:
    """Raises unless `value` is an integer of 0 or more, or a size that `jax.export` leaves open."""
    if jax.export.is_symbolic_dim(value):
        return
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be an integer, got {value!r}.")
    if value < 0:
        raise ValueError(f"`{name}` must be 0 or more, got {value}.")


def check_bool(name: str, value: Any) -> None:
    """Raises TypeError, naming `name`, unless `value` is True or False.

    Examples:
      >>> jaxrnn.authoring.check_bool("use_bias", 1)
      Traceback (most recent call last):
      TypeError: `use_bias` must be True or False, got 1.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be True or False, got {value!r}.")


def check_rate(name: str, value: Any) -> float | jax.Array:
    """`value` as a float. Raises TypeError or ValueError, naming `name`, unless it is in [0, 1).

    A traced scalar, as in a sweep by `jax.vmap`, is returned as it is: its value is not known.

    Examples:
      >>> jaxrnn.authoring.check_rate("rate", jnp.float32(0.25))
      0.25
      >>> jaxrnn.authoring.check_rate("rate", 1)
      Traceback (most recent call last):
      ValueError: `rate` must be in [0, 1), got 1.
    """
    if is_traced_scalar(value):
        return value
    if isinstance(value, jax.Array) and value.ndim == 0 and not isinstance(value, jax.core.Tracer):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a number in [0, 1), got {describe(value)}.")
    if not 0.0 <= value < 1.0:
        raise ValueError(f"`{name}` must be in [0, 1), got {value}.")
    return float(value)  # a NumPy scalar would promote what it multiplies


def check_positive(name: str, value: Any) -> float:
    """`value` as a float. Raises TypeError or ValueError, naming `name`, unless it is in (0, ∞).

    Examples:
      >>> jaxrnn.authoring.check_positive("time_step", np.float32(0.5))  # a plain float
      0.5
      >>> jaxrnn.authoring.check_positive("time_step", 0)
      Traceback (most recent call last):
      ValueError: `time_step` must be a finite number above 0, got 0.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a number above 0, got {describe(value)}.")
    if not 0.0 < value < float("inf"):
        raise ValueError(f"`{name}` must be a finite number above 0, got {value}.")
    return float(value)


def check_finite(name: str, value: Any) -> float:
    """`value` as a float; raises unless it is a finite number. The message calls it `name`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a finite number, got {describe(value)}.")
    if not math.isfinite(value):
        raise ValueError(f"`{name}` must be a finite number, got {value}.")
    return float(value)


def is_traced_scalar(value: Any) -> bool:
    """Whether this is a floating number whose value is not known yet."""
    is_traced = isinstance(value, jax.core.Tracer)
    return is_traced and value.ndim == 0 and jnp.issubdtype(value.dtype, jnp.floating)


def check_key(key: Any, name: str = "key") -> None:
    """Raises TypeError or ValueError, naming `name`, unless `key` is one key of `jax.random`.

    Examples:
      >>> jaxrnn.authoring.check_key(jax.random.split(jax.random.key(0)), "noise_key")
      Traceback (most recent call last):
      ValueError: `noise_key` must be a single key, got key<fry>(2,). Did you pass the whole...
    """
    if key is None:
        raise ValueError(
            f"`{name}` is None, but random numbers were asked for. Pass `jax.random.key(seed)`."
        )
    if not isinstance(key, (jax.Array, np.ndarray)):
        raise TypeError(
            f"`{name}` must be a key of jax.random, got {describe(key)}. "
            "Make one from a seed with `jax.random.key(seed)`."
        )
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not typed and key.dtype != jnp.uint32:
        raise TypeError(f"`{name}` must be a key of jax.random, got an array {describe(key)}.")
    if key.ndim != (0 if typed else 1):
        raise ValueError(
            f"`{name}` must be a single key, got {describe(key)}. "
            "Did you pass the whole result of `jax.random.split`?"
        )
    if not typed and key.shape[0] != _key_width():
        raise ValueError(
            f"`{name}` must have {_key_width()} numbers, as a raw key of "
            f"{jax.config.jax_default_prng_impl!r} has, got {describe(key)}. Make one from a seed "
            "with `jax.random.key(seed)`, or give the implementation with "
            "`jax.random.wrap_key_data(key, impl=...)`."
        )


def _key_width():
    return 2 if jax.config.jax_default_prng_impl == "threefry2x32" else 4


def check_params(params: Any, expected: type) -> None:
    """Raises TypeError unless `params` is an instance of the NamedTuple `expected`.

    Examples:
      >>> params = jaxrnn.gru(4).init(jax.random.key(0), jnp.zeros((3, 5)))
      >>> jaxrnn.authoring.check_params(params, jaxrnn.cells.LSTMParams)
      Traceback (most recent call last):
      TypeError: `params` must be LSTMParams(kernel, recurrent_kernel, bias), got GRUParams...
    """
    if not isinstance(params, expected):
        raise TypeError(
            f"`params` must be {expected.__name__}({', '.join(expected._fields)}), got "
            f"{describe(params)}. Were they made by the `init` of another cell or layer?"
        )


def check_features(x: Any, size: int | None = None, dtype: Any = None) -> None:
    """Raises unless `x` is ``(..., I)``, with I = `size`, and floating, of `dtype` where given.

    Raises: ValueError for another shape, TypeError for another dtype or for no array.

    Examples:
      >>> x = jnp.zeros((3, 5))  # (B, I)
      >>> jaxrnn.authoring.check_features(x, 5, x.dtype)
      >>> jaxrnn.authoring.check_features(x.astype(int))
      Traceback (most recent call last):
      TypeError: `x` must be floating, got int32(3, 5). Turn integers into features first...
    """
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        raise TypeError(
            f"`x` must be one array (..., I), got {describe(x)}. Concatenate several arrays along "
            "their features with `jnp.concatenate(arrays, axis=-1)`."
        )
    if x.ndim == 0:
        raise ValueError(
            "`x` needs a feature axis: expected (..., I), got (). A sequence is (T, ..., I): "
            "give a series of numbers its features with `xs[:, None]`."
        )
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise TypeError(
            f"`x` must be floating, got {describe(x)}. Turn integers into features first, with "
            "`jaxrnn.embed` or `jax.nn.one_hot`, or cast them with `.astype`."
        )
    if x.shape[-1] == 0:
        raise ValueError(f"`x` must have at least one feature in its last axis, got {describe(x)}.")
    if size is not None and x.shape[-1] != size:
        raise ValueError(
            f"`x` must have {size} features in its last axis, as the parameters were made for, got "
            f"{x.shape[-1]} in {describe(x)}. Is the feature axis the last one?"
        )
    if dtype is not None and x.dtype != dtype:
        raise TypeError(
            f"`x` must be {jnp.dtype(dtype)}, as the parameters are, got {describe(x)}. Nothing is "
            "promoted silently: cast the input, or make the parameters from an input of this dtype."
        )


def check_array(name: str, x: Any) -> None:
    """Raises unless `x` is an array that JAX can read, or its shape and dtype.

    The message calls it `name`.
    """
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        raise TypeError(
            f"`{name}` must be an array or a pytree of arrays, got {describe(x)}. Turn lists of "
            "numbers into one array with `jnp.array`."
        )
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(
            f"`{name}` must be plain arrays, got a masked array of NumPy, {describe(x)}. Fill it "
            "with `x.filled(0)`, and pass the steps that are real as a mask, bool (T, ...)."
        )
    if not isinstance(x.dtype, np.dtype) and not _is_extended(x.dtype):
        raise TypeError(
            f"`{name}` must be an array of JAX or NumPy, got a {type(x).__module__}."
            f"{type(x).__name__}, {describe(x)}. Convert it first, as with `x.numpy()`."
        )
    if isinstance(x.dtype, np.dtype) and not x.dtype.isnative:
        raise TypeError(
            f"`{name}` has another byte order than this machine: {x.dtype.str}. Convert it with "
            "`x.astype(x.dtype.newbyteorder('='))`."
        )


def _is_extended(dtype):
    """Whether this is a dtype of JAX's own, such as a key's."""
    try:
        return jnp.issubdtype(dtype, jax.dtypes.extended)
    except TypeError:
        return False


def check_sequence(xs: Any, name: str = "xs") -> int:
    """The number of time steps T of ``xs (T, ...)``; raises if its leaves do not agree on it."""
    leaves = jax.tree.leaves(xs)
    if not leaves:
        raise ValueError(f"`{name}` holds no array: expected (T, ..., I), got {xs!r}.")
    for leaf in leaves:
        check_array(name, leaf)
        if len(leaf.shape) == 0:
            raise ValueError(
                f"`{name}` needs a time axis: expected (T, ..., I), got a leaf of shape ()."
            )
    lengths = {leaf.shape[0] for leaf in leaves}
    if len(lengths) > 1:
        raise ValueError(
            f"`{name}` is time-first: every leaf must be (T, ..., I) with one T, got leaves with "
            f"{sorted(lengths)} steps."
        )
    return lengths.pop()


def example(xs: Any) -> Any:
    """The shape and dtype of one step of ``xs (T, ...)``, which may itself be no more than that."""
    check_sequence(xs)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], dtype_of(x)), xs)


def dtype_of(x: Any) -> Any:
    """The dtype that `x` has as an array of JAX: float32 for float64, unless 64 bits are on."""
    return jax.dtypes.canonicalize_dtype(x.dtype, allow_extended_dtype=True)
