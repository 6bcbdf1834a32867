"""A program that `jax.export` saves calls no library: there a kernel gives way to the general rule.

The choice is made when a program is lowered. It cannot be made before, for `jax.jit` and
`jax.export` share what they have traced.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive, jaxpr_as_fun
from jax.interpreters import batching, mlir

_kernel_p = Primitive("jaxrnn_kernel")
_kernel_p.multiple_results = True


def exportable(kernel: Callable, general: Callable) -> Callable:
    """`kernel`, for which `general` stands in an exported program.

    Args:
      kernel: a function of pytrees of arrays that calls the library. It has a rule for `jax.vmap`;
        its derivative is that of a `jax.custom_jvp` around the function that is returned.
      general: a function of the same arguments and results. It is traced only for an export.

    Returns:
      A function of the same arguments and results.
    """

    def call(*args):
        leaves, structure = jax.tree.flatten(args)

        def flat(*leaves: Any) -> list[jax.Array]:
            return jax.tree.leaves(general(*structure.unflatten(leaves)))

        jaxpr, out = jax.make_jaxpr(kernel, return_shape=True)(*args)
        return jax.tree.structure(out).unflatten(
            _kernel_p.bind(*leaves, kernel=jaxpr, general=flat)
        )

    return call


def saving(kernel: Callable, general: Callable) -> Callable:
    """`general`, with the results of a `kernel` that also returns what its backward kernel reads.

    The derivative of an exported program is general too and reads nothing of that. It is NaN, lest
    another program reads it unseen.
    """

    def run(*args):
        _, saved = jax.eval_shape(kernel, *args)
        nothing = jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), saved)
        return general(*args), nothing

    return run


def _abstract(*avals, kernel, general):
    return kernel.out_avals


def _impl(*leaves, kernel, general):
    return jaxpr_as_fun(kernel)(*leaves)


def _batch(operands, dims, *, kernel, general):
    either = exportable(jax.vmap(jaxpr_as_fun(kernel), dims), jax.vmap(general, dims))
    out = either(*operands)
    return out, [0] * len(out)


def _lower(context, *operands, kernel, general):
    is_export = context.module_context.lowering_parameters.for_export
    run = general if is_export else jaxpr_as_fun(kernel)
    return mlir.lower_fun(run, multiple_results=True)(context, *operands)


_kernel_p.def_impl(_impl)
_kernel_p.def_abstract_eval(_abstract)
batching.primitive_batchers[_kernel_p] = _batch
mlir.register_lowering(_kernel_p, _lower)
