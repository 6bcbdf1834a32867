"""A choice between two functions that compute the same, made when a program is lowered.

The platform, the number of devices, and whether the program is exported are known then. While a
function is traced they are not: `jax.jit` and `jax.export` share what they have traced, and a
program may be exported for another platform.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.division import divided


def on_lone_cpu(preferred: Callable, otherwise: Callable) -> Callable:
    """`preferred` on one CPU device, or within `jax.shard_map` on CPUs; elsewhere `otherwise`.

    Both are linear in each of their arguments, as a product is, and so is what is differentiated.
    """
    return functools.partial(_choose, _is_lone_cpu, preferred, otherwise)


def unless_exported(preferred: Callable, otherwise: Callable, rows: Callable) -> Callable:
    """`preferred`, but `otherwise` in an exported program.

    On several devices, each calls `preferred` for its own rows.

    Args:
      preferred: such as a call into the native library, which an exported program cannot make. It
        has a rule for `jax.vmap`; its derivative belongs to a `jax.custom_jvp` around the result.
      otherwise: traced only where it is chosen.
      rows: from the arguments, or from the results, to the axis of each array that holds rows,
        which are independent of each other, or None. A result without one is a sum over rows.
    """

    def name_axes(args, results):
        return _named(args, rows(args)), _named(results, rows(results))

    return functools.partial(_choose, _is_run_here, preferred, otherwise, name_axes=name_axes)


def saving(kernel: Callable, general: Callable) -> Callable:
    """`general`, with the results of a `kernel` that also returns what its backward kernel reads.

    The derivative of an exported program is general too and reads nothing of that. It is NaN, so
    that no other program reads it unnoticed.
    """

    def run(*args):
        _, saved = jax.eval_shape(kernel, *args)
        nothing = jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), saved)
        return general(*args), nothing

    return run


def _is_run_here(context):
    if context is None:
        return True
    is_export = context.module_context.lowering_parameters.for_export
    return not is_export and (_is_undivided(context) or _num_devices(context) > 1)


def _is_lone_cpu(context):
    if context is None:  # an eager call on arrays that may be anywhere
        return False
    platforms = getattr(context, "platforms", None) or context.module_context.platforms
    return tuple(platforms) == ("cpu",) and _is_undivided(context)


def _is_undivided(context):
    """Whether no axis of an array is left for XLA to divide between devices."""
    axes = context.module_context.axis_context
    if hasattr(axes, "manual_axes"):  # within `jax.shard_map`
        return set(axes.manual_axes) == set(axes.mesh.axis_names)
    return _num_devices(context) == 1


def _num_devices(context):
    """The devices among which XLA divides all axes; 0 where some belong to `jax.shard_map`."""
    return getattr(context.module_context.axis_context, "num_devices", None) or 0


def _choose(when, preferred, otherwise, *args, name_axes=None):
    leaves, structure = jax.tree.flatten(args)
    if not any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        return preferred(*args) if when(None) else otherwise(*args)
    out_structure = None

    def flat(function):
        def call(*leaves: Any) -> list[jax.Array]:
            nonlocal out_structure
            out, out_structure = jax.tree.flatten(function(*structure.unflatten(leaves)))
            return out

        return call

    program = jax.make_jaxpr(flat(preferred))(*leaves)
    functions = {"preferred": flat(preferred), "otherwise": flat(otherwise)}
    types = tuple(program.out_avals)
    axes = name_axes and name_axes(args, jax.tree.unflatten(out_structure, types))
    if axes and jax.device_count() > 1:  # JAX looks for what needs the devices in `by_rows`
        by_rows = jax.make_jaxpr(divided(flat(preferred), program, *axes))(*leaves)
    else:
        by_rows = None
    traced = {"types": types, "axes": axes, "program": program, "by_rows": by_rows}
    out = _primitive().bind(*leaves, **functions, when=when, **traced)
    return jax.tree.unflatten(out_structure, out)


def _named(tree, rows):
    """The names of the axes of each array, for `divided`."""
    pairs = zip(jax.tree.leaves(tree), rows, strict=True)
    return tuple(tuple("row" if i == at else None for i in range(x.ndim)) for x, at in pairs)


def _with_mapped(axes, dims):
    """The names of the axes under `jax.vmap`, whose indices are independent too."""
    of_operands, of_results = axes
    name = f"mapped{sum(axis is not None for axis in of_results[0])}"

    def insert(names, at):
        return names if at is None else (*names[:at], name, *names[at:])

    of_operands = tuple(map(insert, of_operands, dims))
    return of_operands, tuple(insert(names, 0) for names in of_results)


@functools.cache
def _primitive():
    """Made when it is first used: `jax.extend` takes long to import."""
    from jax.extend.core import Primitive, jaxpr_as_fun
    from jax.interpreters import ad, batching, mlir

    choice_p = Primitive("jaxrnn_choice")
    choice_p.multiple_results = True

    def both(change, operands, *, preferred, otherwise, when, name_axes=None, **_):
        functions = change(preferred), change(otherwise)
        return _choose(when, *functions, *operands, name_axes=name_axes)

    def impl(*operands, preferred, otherwise, when, **_):
        return preferred(*operands) if when(None) else otherwise(*operands)

    def jvp(primals, tangents, **choice):
        """One term for each argument that varies, since the functions are linear in each."""
        out = choice_p.bind(*primals, **choice)
        douts = [
            both(lambda function: function, (*primals[:i], tangent, *primals[i + 1 :]), **choice)
            for i, tangent in enumerate(tangents)
            if type(tangent) is not ad.Zero
        ]
        return out, [functools.reduce(jnp.add, terms) for terms in zip(*douts, strict=True)]

    def transpose(cotangents, *operands, **choice):
        cotangents = [ad.instantiate_zeros(c) for c in cotangents]
        (at,) = (i for i, x in enumerate(operands) if ad.is_undefined_primal(x))
        known = [x for i, x in enumerate(operands) if i != at]
        transposed = functools.partial(_transposed, at, operands[at].aval, len(known))
        (out,) = both(transposed, (*known, *cotangents), **choice)
        return [out if i == at else None for i in range(len(operands))]

    def batch(operands, dims, *, axes, **choice):
        def name_axes(args, results):
            return axes and _with_mapped(axes, dims)

        change = functools.partial(jax.vmap, in_axes=dims)
        out = both(change, operands, name_axes=name_axes, **choice)
        return out, [0] * len(out)

    def lower(context, *operands, otherwise, when, program, by_rows, **_):
        if not when(context):
            run = otherwise
        elif by_rows is None or _is_undivided(context):
            run = jaxpr_as_fun(program)
        else:
            run = jaxpr_as_fun(by_rows)
        return mlir.lower_fun(run, multiple_results=True)(context, *operands)

    choice_p.def_impl(impl)
    choice_p.def_abstract_eval(lambda *_, types, **__: types)
    ad.primitive_jvps[choice_p] = jvp
    ad.primitive_transposes[choice_p] = transpose
    batching.primitive_batchers[choice_p] = batch
    mlir.register_lowering(choice_p, lower)
    return choice_p


def _transposed(at, like, num_known, function):
    """The transpose of `function` as a function of its argument `at`, in which it is linear."""

    def run(*args):
        known, cotangents = list(args[:num_known]), list(args[num_known:])

        def of_one(x):
            return function(*known[:at], x, *known[at:])

        return list(jax.linear_transpose(of_one, like)(cotangents))

    return run
