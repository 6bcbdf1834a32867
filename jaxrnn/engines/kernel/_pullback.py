"""Backpropagation through time by a backward kernel."""

import functools

import jax

from jaxrnn._core.lowering import unless_exported
from jaxrnn.engines.kernel._operands import (
    Flags,
    Primals,
    Recurrence,
    Result,
    Saved,
    States,
)
from jaxrnn.engines.kernel._rows import row_axes


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def pull_back(
    recurrence: Recurrence,
    of_weights: bool,
    of_inputs: bool,
    primals: Primals,
    flags: Flags,
    saved: Saved,
    dresult: Result,
) -> Primals:
    """The cotangents of `primals` from the cotangent of the result; None for what is not asked.

    `saved` follows from the other arguments, and the derivative is taken for those alone.
    """

    backend = recurrence.backend

    def kernel(primals, flags, saved, dresult):
        out = backend.backward(recurrence, primals, flags, saved, dresult)
        asked = of_weights, of_inputs
        dweights, dinputs = backend.products(recurrence, primals, flags, saved, out, *asked)
        dinitial = None if primals.states.initial is None else out.initial
        return Primals(dweights, States(out.carry, dinitial), dinputs)

    def general(primals, flags, saved, dresult):
        return _general(recurrence, of_weights, of_inputs, flags, primals, dresult)

    return unless_exported(kernel, general, row_axes)(primals, flags, saved, dresult)


@pull_back.defjvp
def _pull_back_jvp(recurrence, of_weights, of_inputs, primals, tangents):
    args, flags, saved, dresult = primals
    dargs, _, _, ddresult = tangents
    general = functools.partial(_general, recurrence, of_weights, of_inputs, flags)
    out = pull_back(recurrence, of_weights, of_inputs, args, flags, saved, dresult)
    return out, jax.jvp(general, (args, dresult), (dargs, ddresult))[1]


def _general(recurrence, of_weights, of_inputs, flags, primals, dresult):
    run = functools.partial(recurrence.backend.reference, recurrence, flags=flags)
    dweights, dstates, dinputs = jax.vjp(run, primals)[1](dresult)[0]
    dweights = dweights if of_weights else jax.tree.map(lambda _: None, dweights)
    dinputs = dinputs if of_inputs else jax.tree.map(lambda _: None, dinputs)
    return Primals(dweights, dstates, dinputs)


def push_forward(
    recurrence: Recurrence, primals: Primals, flags: Flags, tangents: Primals
) -> Result:
    """The tangent of the result, by the general rule."""
    run = functools.partial(recurrence.backend.reference, recurrence, flags=flags)
    return jax.jvp(run, (primals,), (tangents,))[1]
