"""How the results of a call are divided on a mesh: as its arguments are."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import PartitionSpec

from jaxrnn._core.noise import batch_axes, without_noise


def type_of(leaf: jax.Array) -> Any:
    """The sharding in the type of an array, which has Explicit axes alone."""
    return jax.typeof(leaf).sharding


def is_explicit(leaf: Any) -> bool:
    """Whether this is an array on a mesh with Explicit axes."""
    sharding = type_of(leaf) if isinstance(leaf, jax.Array) else None
    return sharding is not None and bool(sharding.mesh.explicit_axes)


def replicated(arguments: dict, results: Any) -> Any:
    """The specs of results that every device has."""
    return jax.tree.map(lambda _: PartitionSpec(), results)


def like_inputs(arguments: dict, results: Any) -> Any:
    """The specs of `inputs`, for results that are like them."""
    return jax.tree.map(lambda leaf: PartitionSpec(*_spec_of(leaf)), arguments["inputs"])


def like_argument(name: str) -> Callable:
    """The specs of results that are like the argument `name`."""

    def specs(arguments: dict, results: Any) -> Any:
        return like_inputs({"inputs": arguments[name]}, results)

    return specs


def like_sequence(arguments: dict, results: tuple) -> tuple:
    """The specs of ``(carry, ys)``: time and batch axes as in `xs`, and a given carry as it was."""
    carry, ys = results
    lead = _leading_axes(arguments["xs"])
    of_ys = jax.tree.map(lambda y: _spec(y, lead) or _spec(y, lead[1:]) or PartitionSpec(), ys)
    return _like_carry(arguments["carry"], carry, lead[1:]), of_ys


def like_step(arguments: dict, results: tuple) -> tuple:
    """The specs of ``(carry, y)`` of one step, with the batch axes of `x`."""
    carry, y = results
    batch = _leading_axes(arguments["x"])
    return _like_carry(arguments["carry"], carry, batch), _like_batch(y, batch)


def like_rows(arguments: dict, results: Any) -> Any:
    """The specs of an initial carry, or of what is pooled over time: the batch axes of `xs`."""
    return _like_batch(results, _leading_axes(arguments["xs"])[1:])


def _like_carry(given, carry, batch):
    if jax.tree.structure(given) == jax.tree.structure(carry):
        return jax.tree.map(lambda leaf: PartitionSpec(*_spec_of(leaf)), given)
    return _like_batch(carry, batch)


def _like_batch(tree, batch):
    """The specs of arrays that begin with all of these axes or, as a count of steps, with some."""

    def spec(leaf):
        pairs = zip(leaf.shape, batch, strict=False)
        same = itertools.takewhile(lambda pair: pair[0] == pair[1][0], pairs)
        return PartitionSpec(*(names for _, (_, names) in same))

    return jax.tree.map(spec, tree)


def _leading_axes(xs):
    """The size, and the axes of the mesh, of each axis of `xs` but the features."""
    xs = without_noise(xs)
    sizes = batch_axes(xs)
    leaf = next(x for x in jax.tree.leaves(xs) if x.shape[: len(sizes)] == sizes)
    return list(zip(sizes, _spec_of(leaf), strict=False))


def _spec(leaf, axes):
    """The spec of an array that begins with these axes; None for another."""
    if leaf.shape[: len(axes)] != tuple(size for size, _ in axes):
        return None
    return PartitionSpec(*(names for _, names in axes))


def _spec_of(leaf):
    """The axes of the mesh over which each axis of an array is divided, if they are Explicit."""
    known = tuple(type_of(leaf).spec) if is_explicit(leaf) else ()
    return known + (None,) * (leaf.ndim - len(known))


def like_decoded(arguments: dict, results: tuple) -> tuple:
    """The specs of ``(carry, outs)``: outs (L, ...) or (...) have the batch axes of `prompt`."""
    carry, outs = results
    batch = _leading_axes(arguments["prompt"])[1:]
    return _like_carry(arguments["carry"], carry, batch), _over_rows(outs, batch)


def like_frames(arguments: dict, results: Any) -> Any:
    """The specs of results (L, ...) or (...) with the batch axes of the first argument (T, ...)."""
    return _over_rows(results, _leading_axes(next(iter(arguments.values())))[1:])


def _over_rows(tree, batch):
    def spec(leaf):
        in_time = _spec(jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), batch)
        if leaf.ndim > len(batch) and in_time is not None:
            return PartitionSpec(None, *in_time)
        return _spec(leaf, batch) or PartitionSpec()

    return jax.tree.map(spec, tree)
