"""Meshes: arrays may be divided among devices, and the code of cells and layers need not know it.

On a mesh with Explicit axes, the default of `jax.make_mesh`, the sharding of an array is part of
its type, and most operations on two shardings raise an error. So these axes are Auto within a call:
XLA divides the work, as it does for `jax.jit` on a mesh with Auto axes. The results get the
sharding of the inputs.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxrnn._core.checks import describe
from jaxrnn._core.shardings import is_explicit, type_of


def with_auto_axes(run: Callable, arguments: dict[str, Any], specs: Callable) -> Any:
    """``run(arguments)``, in which no mesh has Explicit axes.

    Args:
      run: a function of `arguments`.
      arguments: trees of arrays, and of anything else, by the names that messages call them.
      specs: ``(arguments, results) -> `` a `PartitionSpec` for each result.

    Raises:
      ValueError: the arguments are on different meshes, or on different devices.
    """
    _check_devices(arguments)
    mesh = _explicit_mesh(arguments)
    if mesh is None:
        return run(arguments)
    abstract = mesh.abstract_mesh
    types = dict.fromkeys(abstract.explicit_axes, AxisType.Auto)
    with jax.sharding.use_abstract_mesh(abstract.update_axis_types(types)):
        on_auto = [jax.tree.map(_without_sharding, tree) for tree in arguments.values()]
        results = run(dict(zip(arguments, on_auto, strict=True)))
    return jax.tree.map(
        lambda result, spec: jax.sharding.reshard(result, NamedSharding(mesh, spec)),
        results,
        specs(arguments, results),
    )


def undivided_in_time(trees: Any) -> Any:
    """Arrays (T, ...) whose steps are on every device, where the mesh is known.

    A loop over time needs them one after the other. Otherwise XLA gathers them at each step.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if not mesh.auto_axes or mesh.manual_axes:
        return trees

    def constrain(leaf):
        rest = [PartitionSpec.UNCONSTRAINED] * (leaf.ndim - 1)
        return jax.lax.with_sharding_constraint(leaf, PartitionSpec(None, *rest))

    return jax.tree.map(constrain, trees)


def on_any_mesh(specs: Callable) -> Callable:
    """Decorator for a function that is called outside of layers: `with_auto_axes` around it."""

    def decorate(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            if not any(map(is_explicit, jax.tree.leaves((args, kwargs)))):
                return function(*args, **kwargs)
            given = inspect.signature(function).bind(*args, **kwargs)

            def run(arguments):
                given.arguments.update(arguments)
                return function(*given.args, **given.kwargs)

            return with_auto_axes(run, dict(given.arguments), specs)

        return call

    return decorate


def _without_sharding(leaf):
    return jax.sharding.reshard(leaf, PartitionSpec()) if isinstance(leaf, jax.Array) else leaf


def _explicit_mesh(arguments):
    """The mesh with Explicit axes, of the arguments or of `jax.set_mesh`; None if there is none."""
    found = {}
    for name, tree in arguments.items():
        for leaf in filter(is_explicit, jax.tree.leaves(tree)):
            found.setdefault(type_of(leaf).mesh, (name, leaf))
    context = jax.sharding.get_abstract_mesh()
    if context.explicit_axes:
        found.setdefault(context, ("jax.set_mesh", None))
    if len(found) > 1:
        (one, (first, _)), (other, (second, _)) = list(found.items())[:2]
        raise ValueError(
            f"`{second}` is on {_in_words(other)}, and `{first}` on {_in_words(one)}. Place all "
            "arrays on one mesh, such as `jax.device_put(tree, jax.NamedSharding(mesh, spec))`."
        )
    for mesh, (_, leaf) in found.items():
        is_placed = leaf is not None and not isinstance(leaf, jax.core.Tracer)
        is_known = is_placed and isinstance(leaf.sharding, NamedSharding)
        return leaf.sharding.mesh if is_known else mesh
    return None


def _in_words(mesh):
    sizes = ", ".join(f"{name}={size}" for name, size in mesh.shape.items())
    return f"a mesh of {sizes}"


def _check_devices(arguments):
    """Raises if arrays were put on different devices, which no program reads together."""
    first = None
    for name, tree in arguments.items():
        for leaf in jax.tree.leaves(tree):
            if not isinstance(leaf, jax.Array) or isinstance(leaf, jax.core.Tracer):
                continue
            if not leaf.committed:
                continue
            devices = leaf.sharding.device_set
            first = first or (name, leaf, devices)
            if devices != first[2]:
                raise ValueError(
                    f"`{name}` holds {describe(leaf)} on {_count(devices)}, and `{first[0]}` "
                    f"{describe(first[1])} on {_count(first[2])}. Place both on one mesh, such as "
                    "`jax.device_put(tree, jax.NamedSharding(mesh, jax.P()))`."
                )


def _count(devices):
    return f"{len(devices)} devices" if len(devices) > 1 else f"device {next(iter(devices)).id}"
