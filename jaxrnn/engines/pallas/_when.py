"""Whether Pallas can run a cell here."""

import jax

from jaxrnn._core.loop import Loop
from jaxrnn._core.types import Cell
from jaxrnn.engines._table import Call

PLATFORMS = ("cpu", "tpu", "gpu", "cuda")


def why_not(cell: Cell, call: Call) -> str | None:
    """Why Pallas cannot run `cell` here; None if it can. Reads shapes alone."""
    platform = jax.default_backend()
    if platform not in PLATFORMS:
        return f"Pallas runs on a CPU, a TPU or an NVIDIA GPU, and arrays are on {platform} here"
    leaves = jax.tree.leaves((call.carry, call.xs))
    if any(jax.export.is_symbolic_dim(size) for leaf in leaves for size in leaf.shape):
        return "`jax.export` leaves sizes open"
    return _too_large(cell, call) if "TPU" in _device_kind() else None


def _device_kind():
    """Of the device that programs are for, which may be an abstract one."""
    device = getattr(jax.sharding.get_abstract_mesh(), "abstract_device", None)
    return (device or jax.devices()[0]).device_kind


def _too_large(cell, call):
    """Why the forward kernel does not fit into VMEM; None if it does."""
    from jaxrnn.engines.pallas._budget import needs_of, problem_with
    from jaxrnn.engines.pallas._engine import run
    from jaxrnn.engines.pallas._kernel import kernel_of
    from jaxrnn.engines.pallas._programs import pruned

    loop = Loop(jax.tree.leaves(call.xs)[0].shape[0], reverse=False)
    if loop.length == 0:
        return None
    program = jax.make_jaxpr(lambda call: run(cell, loop, call))(call)
    flags = [True] * len(program.out_avals), [True] * len(program.in_avals)
    for equation in _loops(pruned(program, *flags)[0].jaxpr):
        found = []

        def look(*operands, params=equation.params, found=found):
            found.append(needs_of(kernel_of(params["program"], params["plan"], operands)))
            return ()

        jax.eval_shape(look, *(var.aval for var in equation.invars))
        problem = problem_with(found[0])
        if problem:
            return problem
    return None


def _loops(jaxpr):
    """The loops over rows in a program, which stand within calls with a derivative of their own."""
    from jaxrnn.engines.pallas._primitive import loop_p

    for equation in jaxpr.eqns:
        if equation.primitive is loop_p and equation.params["plan"].has_rows:
            yield equation
        found = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
        inner = getattr(found, "jaxpr", found)
        if hasattr(inner, "eqns"):
            yield from _loops(inner)
