"""Calls that XLA cannot divide among devices, divided by the rows of their arrays.

XLA divides a program that runs on several devices, but it knows nothing of a call into a native
library. Here it is told which axes hold rows that are independent of each other, so that each
device calls the library for its own rows.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

Axes = tuple[str | None, ...]  # of an array: the name of each axis that holds rows, None for others


def divided(
    function: Callable, program: Any, of_operands: list[Axes], of_results: list[Axes]
) -> Callable:
    """`function`, from arrays to a list of arrays, for `jax.jit` on several devices.

    Axes of one name are divided alike in all operands and results. A result that lacks an axis of
    the operands is summed over it.

    Args:
      function: what each device calls for its own rows.
      program: the same for all rows, as `jax.make_jaxpr` returns it.
      of_operands: the names of their axes.
      of_results: likewise.
    """
    from jax.experimental.custom_partitioning import custom_partitioning
    from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

    # What is divided may close over no constant, so those of the program are operands too.
    count, constants = len(of_operands), program.consts
    of_operands = [*of_operands, *((None,) * constant.ndim for constant in constants)]

    def partition(mesh, operands, results):
        devices = _devices_of(of_operands, operands)

        def shardings(arrays):
            return tuple(NamedSharding(mesh, _spec(axes, devices)) for axes in arrays)

        def summed(result, axes):
            names = [n for row, ns in devices.items() if row not in axes for n in ns]
            return jax.lax.psum(result, tuple(names)) if names else result

        def run(*shards):
            return tuple(map(summed, function(*shards[:count]), of_results))

        return mesh, run, shardings(of_results), shardings(of_operands)

    @custom_partitioning
    def call(*operands):
        whole = ClosedJaxpr(program.jaxpr, operands[count:])
        return tuple(jaxpr_as_fun(whole)(*operands[:count]))

    rule, fixed = _rule(of_operands, of_results)
    call.def_partition(partition, sharding_rule=rule, need_replication_factors=fixed)
    return lambda *operands: list(call(*operands, *constants))


def _devices_of(of_operands: list[Axes], operands: Any) -> dict[str, tuple[str, ...]]:
    """The axes of the mesh over which the rows of each name are divided evenly."""
    found = {}
    for axes, operand in zip(of_operands, operands, strict=True):
        spec, mesh = tuple(operand.sharding.spec), operand.sharding.mesh
        for row, names, size in zip(axes, spec, operand.shape, strict=False):
            names = (names,) if isinstance(names, str) else tuple(names or ())
            is_even = size % math.prod(mesh.shape[name] for name in names) == 0
            is_free = not any(set(names) & set(others) for others in found.values())
            if row is not None and row not in found and names and is_even and is_free:
                found[row] = names
    return found


def _spec(axes: Axes, devices: dict) -> PartitionSpec:
    return PartitionSpec(*(devices.get(row) for row in axes))


def _rule(of_operands: list[Axes], of_results: list[Axes]) -> tuple[str, tuple[str, ...]]:
    """The sharding rule in the notation of Shardy, and its factors that are not divided."""
    fixed = []

    def factor(row):
        if row is not None:
            return row
        fixed.append(f"fixed{len(fixed)}")
        return fixed[-1]

    def side(arrays):
        return ", ".join(" ".join(map(factor, axes)) for axes in arrays)

    rule = f"{side(of_operands)} -> {side(of_results)}"
    return rule, tuple(fixed)
