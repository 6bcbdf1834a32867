"""Checks of arguments, made before anything is traced deep, and the messages they raise.

Each message names the argument, what was expected, what came, and the likely cause.
"""

import numbers
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def describe(x: Any) -> str:
    """The type of an array in short, ``float32(3, 5)``; of anything else, its type's name."""
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return f"{x.dtype}{tuple(x.shape)}"
    return type(x).__name__


def check_size(name: str, value: Any) -> None:
    """Raises unless `value` is a positive integer. The message calls it `name`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be a positive integer, got {value!r}.")
    if value < 1:
        raise ValueError(f"`{name}` must be a positive integer, got {value}.")


def check_bool(name: str, value: Any) -> None:
    """Raises unless `value` is True or False. The message calls it `name`."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be True or False, got {value!r}.")


def check_rate(name: str, value: Any) -> float:
    """`value` as a float; raises unless it is in [0, 1). The message calls it `name`."""
    if not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a number in [0, 1), got {describe(value)}.")
    if not 0.0 <= value < 1.0:
        raise ValueError(f"`{name}` must be in [0, 1), got {value}.")
    return float(value)  # a NumPy scalar would promote what it multiplies


def check_key(key: Any) -> None:
    """Raises unless `key` is one key of `jax.random`."""
    if key is None:
        raise ValueError(
            "`key` is None, but random numbers were asked for. Pass `jax.random.key(seed)`."
        )
    if not isinstance(key, (jax.Array, np.ndarray)):
        raise TypeError(
            f"`key` must be a key of jax.random, got {describe(key)}. "
            "Make one from a seed with `jax.random.key(seed)`."
        )
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not typed and key.dtype != jnp.uint32:
        raise TypeError(f"`key` must be a key of jax.random, got an array {describe(key)}.")
    if key.ndim != (0 if typed else 1):
        raise ValueError(
            f"`key` must be a single key, got {describe(key)}. "
            "Did you pass the whole result of `jax.random.split`?"
        )


def check_params(params: Any, expected: type) -> None:
    """Raises unless `params` is an instance of the NamedTuple `expected`."""
    if not isinstance(params, expected):
        raise TypeError(
            f"`params` must be {expected.__name__}({', '.join(expected._fields)}), got "
            f"{describe(params)}. Were they made by the `init` of another cell or layer?"
        )


def check_features(x: Any, size: int | None = None, dtype: Any = None) -> None:
    """Raises unless `x` is floating, ``(..., I)``, with I = `size` and of `dtype` where given."""
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        raise TypeError(f"`x` must be one array (..., I), got {describe(x)}.")
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


def check_sequence(xs: Any, name: str = "xs") -> int:
    """The number of time steps T of ``xs (T, ...)``; raises if its leaves do not agree on it."""
    leaves = jax.tree.leaves(xs)
    if not leaves:
        raise ValueError(f"`{name}` holds no array: expected (T, ..., I), got {xs!r}.")
    for leaf in leaves:
        if not hasattr(leaf, "shape"):
            raise TypeError(
                f"`{name}` must be an array (T, ..., I) or a pytree of them, got {describe(leaf)}. "
                "Turn lists of numbers into one array with `jnp.array`."
            )
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
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), xs)


def check_flags(name: str, flags: Any, xs: Any) -> None:
    """Raises unless `flags` (a mask, or resets) is bool and fits the leading axes of `xs`."""
    if flags is None:
        return
    if not hasattr(flags, "dtype") or not hasattr(flags, "shape"):
        raise TypeError(f"`{name}` must be a bool array (T, ...), got {describe(flags)}.")
    if flags.dtype != jnp.bool_:
        raise TypeError(
            f"`{name}` must be bool, got {describe(flags)}. "
            "Compare first, as in `xs != padding`, or use `jaxrnn.length_mask(lengths, T)`."
        )
    for x in jax.tree.leaves(xs):
        if flags.ndim == 0 or flags.shape != x.shape[: flags.ndim]:
            raise ValueError(
                f"`{name}` must match the leading axes (T, ...) of `xs` {tuple(x.shape)}, got "
                f"{tuple(flags.shape)}. It is time-first; is it transposed, or of another batch?"
            )


def check_flags_fit(name: str, flags: Any, tree: Any) -> None:
    """Raises unless every array of `tree`, a carry or an output, has the batch axes of `flags`."""
    batch = () if flags is None else flags.shape[1:]
    for leaf in jax.tree.leaves(tree):
        if leaf.shape[: len(batch)] != batch:
            raise ValueError(
                f"`{name}` {flags.shape} has batch axes {batch}, and an array {leaf.shape} in the "
                "carry or the output does not begin with them. It needs one value a time "
                "step, (T, ...), without features; where a batch shares an array, use `jax.vmap`."
            )


def check_mask_and_resets(mask: Any, resets: Any, tree: Any) -> None:
    """`check_flags_fit` for both."""
    check_flags_fit("mask", mask, tree)
    check_flags_fit("resets", resets, tree)


def check_carry(carry: Any, expected: Any, *, name: str = "carry", cause: str) -> None:
    """Raises unless `carry` has the structure, shapes and dtypes of `expected`.

    Args:
      carry: a pytree of arrays, or of their shapes and dtypes.
      expected: the same, as it should be.
      name: what the message calls it.
      cause: the likely cause of a difference, the last sentence of the message.
    """
    if jax.tree.structure(carry) != jax.tree.structure(expected):
        raise TypeError(f"`{name}` must be {_outline(expected)}, got {_outline(carry)}. {cause}")
    wanted = jax.tree_util.tree_leaves_with_path(expected)
    for (path, want), got in zip(wanted, jax.tree.leaves(carry), strict=True):
        field = name + jax.tree_util.keystr(path)
        if not hasattr(got, "shape") or not hasattr(got, "dtype"):
            raise TypeError(f"`{field}` must be an array, got {describe(got)}. {cause}")
        if tuple(got.shape) != tuple(want.shape):
            raise ValueError(
                f"`{field}` must have shape {tuple(want.shape)}, got {tuple(got.shape)}. {cause}"
            )
        if got.dtype != want.dtype:
            raise TypeError(f"`{field}` must be {want.dtype}, got {got.dtype}. {cause}")


def _outline(tree: Any) -> str:
    """A pytree with its arrays in short: ``LSTMCarry(h=float32(4, 8), c=float32(4, 8))``."""
    if hasattr(tree, "_fields"):
        fields = (f"{k}={_outline(v)}" for k, v in zip(tree._fields, tree, strict=True))
        return f"{type(tree).__name__}({', '.join(fields)})"
    if isinstance(tree, (tuple, list)):
        return f"{type(tree).__name__}({', '.join(map(_outline, tree))})"
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{k}: {_outline(v)}" for k, v in tree.items()) + "}"
    return describe(tree)
