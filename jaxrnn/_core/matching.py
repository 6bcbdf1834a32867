"""Checks of trees of arrays: a carry is like the initial one, parameters are as drawn."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax

from jaxrnn._core.checks import check_params, describe
from jaxrnn._core.memo import call_shapes, shape_of


def check_carry(carry: Any, expected: Any, *, name: str = "carry", cause: str) -> None:
    """Raises unless `carry` has the structure, shapes and dtypes of `expected`.

    Args:
      carry: a pytree of arrays, or of their shapes and dtypes.
      expected: the same, as it should be.
      name: what the message calls it.
      cause: the likely cause of a difference, the last sentence of the message.
    """
    problem = _difference(carry, expected, name)
    if problem is not None:
        raise type(problem)(f"{problem} {cause}")


def check_no_carry(carry: Any) -> None:
    """Raises unless `carry` is None or (), for a layer that has none."""
    if carry is not None:
        check_carry(carry, (), cause="This layer has no carry. Is it the carry of another layer?")


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


def _difference(tree: Any, expected: Any, name: str) -> ValueError | TypeError | None:
    """The first difference between a tree of arrays and what is expected, as an error."""
    if jax.tree.structure(tree) != jax.tree.structure(expected):
        return TypeError(f"`{name}` must be {_outline(expected)}, got {_outline(tree)}.")
    wanted = jax.tree_util.tree_leaves_with_path(expected)
    for (path, want), got in zip(wanted, jax.tree.leaves(tree), strict=True):
        field = name + jax.tree_util.keystr(path)
        if not hasattr(got, "shape") or not hasattr(got, "dtype"):
            return TypeError(f"`{field}` must be an array, got {describe(got)}.")
        if tuple(got.shape) != tuple(want.shape):
            return ValueError(
                f"`{field}` must have shape {tuple(want.shape)}, got {tuple(got.shape)}."
            )
        if got.dtype != want.dtype:
            return TypeError(f"`{field}` must be {want.dtype}, got {got.dtype}.")
    return None


def check_drawn(params: Any, init: Callable, x: Any, maker: str) -> None:
    """Raises unless `params` have the structure, shapes and dtypes that ``init(key, x)`` draws.

    Args:
      params: arrays, or their shapes and dtypes.
      init: ``(key, x) -> params``.
      x: the shape and dtype of an input of `init`.
      maker: the call that made the cell or layer, for the message.
    """
    try:
        expected = call_shapes(init, _key(), x)
    except jax.errors.JAXTypeError:  # an `init` that cannot be traced tells nothing
        return
    problem = _difference(_shapes(params), expected, "params")
    if problem is None:
        return
    if hasattr(expected, "_fields"):
        check_params(params, type(expected))
    for other in _other_inputs(_shapes(params), expected, x):
        _refuse_input(params, init, x, other)
    raise type(problem)(
        f"{problem} The `init` of {maker} makes it so for inputs {_outline(x)}. Do the "
        "parameters belong to another cell or layer, or to another size or dtype?"
    )


def _refuse_input(params, init, x, other):
    """Raises if `params` are right for the input `other`, so that x is what does not fit."""
    try:
        expected = call_shapes(init, _key(), other)
    except (TypeError, ValueError):
        return
    if _difference(_shapes(params), expected, "params") is not None:
        return
    if x.shape != other.shape:
        raise ValueError(
            f"`x` must have {other.shape[-1]} features in its last axis, as the parameters were "
            f"made for, got {x.shape[-1]} in {describe(x)}. Is the feature axis the last one?"
        )
    raise TypeError(
        f"`x` must be {other.dtype}, as the parameters are, got {describe(x)}. Nothing is promoted "
        "silently: cast the input, or make the parameters from an input of this dtype."
    )


def _other_inputs(params, expected, x) -> Iterator[jax.ShapeDtypeStruct]:
    """Inputs with the features, or the dtype, that `params` differ in."""
    if jax.tree.structure(params) != jax.tree.structure(expected) or not hasattr(x, "shape"):
        return
    pairs = list(zip(jax.tree.leaves(params), jax.tree.leaves(expected), strict=True))
    dtypes = [x.dtype, *(got.dtype for got, want in pairs if got.dtype != want.dtype)]
    sizes = [
        got.shape[axis]
        for got, want in pairs
        for axis in range(min(len(got.shape), len(want.shape)))
        if got.shape[axis] != want.shape[axis]
    ]
    for dtype in dict.fromkeys(dtypes):
        for size in dict.fromkeys([*x.shape[-1:], *sizes]):
            yield jax.ShapeDtypeStruct((*x.shape[:-1], size), dtype)


def _shapes(params):
    return jax.tree.map(shape_of, params)


@functools.cache
def _key():
    return jax.eval_shape(lambda: jax.random.key(0))
