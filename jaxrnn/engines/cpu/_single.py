"""One step of one sequence by a kernel, as of a stream. Everything beyond that is general."""

import functools

import jax

from jaxrnn._core.lowering import unless_exported
from jaxrnn.engines.cpu._calls import call_single
from jaxrnn.engines.kernel._operands import Flags, Primals, Recurrence, Result, reference
from jaxrnn.engines.kernel._rows import row_axes


def is_single(primals: Primals, flags: Flags) -> bool:
    """Whether this is one step of one sequence, with inputs that are not projected yet."""
    is_one = primals.inputs.shape[:2] == (1, 1)
    return is_one and primals.weights.kernel is not None and not jax.tree.leaves(flags)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def single(recurrence: Recurrence, primals: Primals) -> Result:
    """The step, if `is_single`.

    What is kept for a derivative, and the packing of the weights for many rows, pay in a sequence
    alone. So its derivative, and what `jax.vmap` makes of it, are those of the general step.
    """
    kernel, general = _with_general_vmap(recurrence), functools.partial(_general, recurrence)
    return unless_exported(kernel, general, row_axes)(primals)


@single.defjvp
def _jvp(recurrence, primals, tangents):
    return jax.jvp(functools.partial(_general, recurrence), primals, tangents)


def _with_general_vmap(recurrence):
    @jax.custom_batching.custom_vmap
    def kernel(primals):
        return Result(*call_single(recurrence, primals))

    @kernel.def_vmap
    def rule(size, is_mapped, primals):
        axes = jax.tree.map(lambda flag: 0 if flag else None, is_mapped)
        out = jax.vmap(functools.partial(_general, recurrence), axes)(primals)
        return out, jax.tree.map(lambda _: True, out)

    return kernel


def _general(recurrence, primals):
    return reference(recurrence, primals, Flags(None, None))
