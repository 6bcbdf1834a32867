"""A recurrence by the kernels of a backend, with its derivative."""

import functools

import jax
import jax.numpy as jnp

from jaxrnn._core.lowering import saving, unless_exported
from jaxrnn.engines.kernel._operands import Flags, Primals, Recurrence, Result
from jaxrnn.engines.kernel._rows import row_axes
from jaxrnn.engines.kernel._tangent import tangent


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def recurrence_of(recurrence: Recurrence, primals: Primals, flags: Flags) -> Result:
    """The carry after the last step, and h after each step."""
    kernel = functools.partial(recurrence.backend.forward, recurrence)
    general = functools.partial(recurrence.backend.reference, recurrence)
    return unless_exported(kernel, general, row_axes)(primals, flags)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _train(recurrence, primals, flags):
    kernel = functools.partial(recurrence.backend.training_forward, recurrence)
    general = saving(kernel, functools.partial(recurrence.backend.reference, recurrence))
    return unless_exported(kernel, general, row_axes)(primals, flags)


@_train.defjvp
def _train_jvp(recurrence, args, tangents):
    primals, flags = args
    out, saved = _train(recurrence, primals, flags)
    dout = tangent(recurrence, primals, flags, saved, tangents[0])
    # What is saved only tells the backward kernel again what the arguments tell the general rule.
    return (out, saved), (dout, jax.tree.map(jnp.zeros_like, saved))


@recurrence_of.defjvp
def _recurrence_jvp(recurrence, args, tangents):
    (out, _), (dout, _) = _train_jvp(recurrence, args, tangents)
    return out, dout
