"""The loop over time, in the form that each platform runs best."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec


class Loop(NamedTuple):
    length: int  # T, which `jax.export` may leave open
    reverse: bool  # from the last step to the first; outputs stay where their inputs are


def scan(loop: Loop, body: Callable, carry: Any, xs: Any) -> tuple[Any, Any]:
    """`jax.lax.scan`, which does not support zero steps under `jax.disable_jit`."""
    if loop.length == 0:
        x = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), xs)
        _, y = jax.eval_shape(body, carry, x)
        return carry, jax.tree.map(lambda y: jnp.zeros((0, *y.shape), y.dtype), y)
    if not jax.tree.leaves(xs):  # a length that is open must come from an array
        return lax.scan(
            lambda carry, _: body(carry, xs), carry, jnp.arange(loop.length), reverse=loop.reverse
        )
    return lax.scan(body, carry, xs, reverse=loop.reverse)


def scan_ahead(loop: Loop, body: Callable, carry: Any, xs: Any) -> tuple[Any, Any]:
    """`scan`, in the form that suits the platform. It is differentiated by a rule, never through.

    On a CPU, XLA fuses the slice of `xs` into the kernel that reads it, and that kernel then fails
    to vectorize `exp` and `tanh`. Where the slice for the next step is taken one step ahead and
    rides in the carry, the gates run up to 5 times faster. On other platforms the copy would only
    cost.
    """
    if loop.length == 0 or not jax.tree.leaves(xs):
        return scan(loop, body, carry, xs)

    def plain(carry, xs):
        return scan(loop, body, carry, xs)

    def ahead(carry, xs):
        return _scan_ahead(loop, body, carry, xs)

    return lax.platform_dependent(carry, xs, cpu=ahead, default=plain)


def varying_like(arguments: Any, carry: Any) -> Any:
    """`carry`, for a loop that reads `arguments` within `jax.shard_map`.

    There an array has a type of its own on each axis of the mesh over which it varies. A carry of
    zeros varies over none, the carry after a step over all axes of what the step reads, be it
    inputs, parameters or flags, and a loop needs them alike.
    """
    axes = frozenset().union(*map(_varying, jax.tree.leaves(arguments)))

    def cast(leaf):
        return lax.pcast(leaf, tuple(axes - _varying(leaf)), to="varying")

    return jax.tree.map(cast, carry) if axes else carry


def shape_like(like: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    """An array that varies over the axes of a mesh over which `like` does in `jax.shard_map`."""
    axes, mesh = jax.typeof(like).manual_axis_type, jax.typeof(like).sharding.mesh
    if not axes.varying:
        return jax.ShapeDtypeStruct(shape, dtype)
    sharding = NamedSharding(mesh, PartitionSpec())
    return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding, manual_axis_type=axes)


def _varying(leaf):
    return jax.typeof(leaf).manual_axis_type.varying


def _scan_ahead(loop, body, carry, xs):
    last = loop.length - 1

    def slice_at(t):
        return jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, t, keepdims=False), xs)

    def ahead(state, t):
        carry, x = state
        following = jnp.maximum(t - 1, 0) if loop.reverse else jnp.minimum(t + 1, last)
        sliced = slice_at(following)
        carry, y = body(carry, x)
        return (carry, sliced), y

    first = slice_at(last if loop.reverse else 0)
    (carry, _), ys = scan(loop, ahead, (carry, first), jnp.arange(loop.length))
    return carry, ys
