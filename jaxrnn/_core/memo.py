"""Answers that depend on shapes alone, computed once.

What a cell returns for inputs of some shape is found by tracing it. Nested layers ask again and
again, and so does each eager call, so the answers are kept.
"""

import contextlib
import contextvars
import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.construction import Constructed

_scope = contextvars.ContextVar("scope", default=None)


@contextlib.contextmanager
def remembering() -> Iterator[None]:
    """Within this block, what is asked about things that are equal only to themselves is kept too.

    They are forgotten after it: they may hold arrays.
    """
    if _scope.get() is not None:
        yield
        return
    token = _scope.set({})
    try:
        yield
    finally:
        _scope.reset(token)


def remembered(ask: Callable, thing: Constructed, choices: Any, trees: Any) -> Any:
    """``ask(thing, choices, trees)``, called once for equal things, choices and shapes.

    Args:
      ask: a function of the shapes of `trees` alone.
      thing: a cell or a layer.
      choices: hashable.
      trees: a pytree of arrays, or of shapes; `ask` gets shapes.
    """
    leaves, structure = jax.tree.flatten(trees)
    shapes = tuple(map(shape_of, leaves))
    if thing.fixed_key is not None:
        wide = jnp.result_type(float)  # answers depend on whether JAX has 64 bits switched on
        return _forever(ask, thing, choices, structure, shapes, wide)
    kept = _scope.get()
    if kept is None:
        return _ask(ask, thing, choices, structure, shapes)
    key = ask, thing, choices, structure, shapes
    if key not in kept:
        kept[key] = _ask(*key)
    return kept[key]


@functools.lru_cache(maxsize=4096)
def _forever(ask, thing, choices, structure, shapes, wide):
    return _ask(ask, thing, choices, structure, shapes)


def _ask(ask, thing, choices, structure, shapes):
    with on_no_mesh():
        return ask(thing, choices, structure.unflatten(shapes))


@contextlib.contextmanager
def on_no_mesh() -> Iterator[None]:
    """Within this block, shapes have no sharding: an answer holds on any mesh."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.manual_axes:  # axes of `jax.shard_map` have names in the program
        yield
        return
    with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ())):
        yield


def call_shapes(function: Callable, *args: Any) -> Any:
    """`jax.eval_shape`, whose answers are kept as long as `function` lives."""
    leaves, structure = jax.tree.flatten(args)
    key = structure, tuple(map(shape_of, leaves)), jnp.result_type(float)
    try:
        kept = _by_function.setdefault(function, {})
    except TypeError:  # no weak reference to it can be made
        kept = {}
    if key not in kept:
        with on_no_mesh():
            kept[key] = jax.eval_shape(function, *structure.unflatten(key[1]))
    return kept[key]


_by_function = weakref.WeakKeyDictionary()


def shape_of(leaf: Any) -> jax.ShapeDtypeStruct:
    """The shape and the dtype of an array."""
    if isinstance(leaf, jax.ShapeDtypeStruct) and leaf.sharding is None:
        return leaf
    return jax.ShapeDtypeStruct(
        jnp.shape(leaf), getattr(leaf, "dtype", None) or jnp.result_type(leaf)
    )
