"""Backpropagation through time by the native backward kernel."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.kernels._calls import Cotangents, Saved, backward
from jaxrnn.kernels._recurrence import (
    Flags,
    Recurrence,
    Result,
    States,
    Weights,
    reference,
)


class Primals(NamedTuple):
    """The arguments that have tangents."""

    weights: Weights
    states: States
    us: jax.Array  # (T, B, G*H)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def pull_back(
    recurrence: Recurrence, primals: Primals, flags: Flags, saved: Saved, dresult: Result
) -> Primals:
    """The cotangents of `primals` from that of the result.

    `saved` follows from the other arguments, and the derivative is taken for those alone.
    """
    out = backward(recurrence, primals.weights, flags, saved, dresult)
    dinitial = None if primals.states.initial is None else out.initial
    return Primals(_dweights(primals.weights, saved, out), States(out.carry, dinitial), out.us)


@pull_back.defjvp
def _pull_back_jvp(recurrence, primals, tangents):
    args, flags, saved, dresult = primals
    dargs, _, _, ddresult = tangents

    def general(args, dresult):
        run = functools.partial(_reference, recurrence, flags)
        return jax.vjp(run, args)[1](dresult)[0]

    out = pull_back(recurrence, args, flags, saved, dresult)
    return out, jax.jvp(general, (args, dresult), (dargs, ddresult))[1]


def push_forward(
    recurrence: Recurrence, primals: Primals, flags: Flags, tangents: Primals
) -> Result:
    """The tangent of the result, by the general rule."""
    run = functools.partial(_reference, recurrence, flags)
    return jax.jvp(run, (primals,), (tangents,))[1]


def _reference(recurrence, flags, primals):
    return reference(recurrence, primals.weights, primals.states, primals.us, flags)


def _dweights(weights: Weights, saved: Saved, out: Cotangents) -> Weights:
    """One product over all steps, as recur is linear; and the sum, for the bias of a GRU."""
    steps, batch, columns = out.vs.shape
    dvs = out.vs.reshape(steps * batch, columns)
    dkernel = saved.previous.reshape(steps * batch, saved.previous.shape[-1]).T @ dvs
    if weights.recurrent_bias is None:
        return Weights(dkernel, None)
    return Weights(dkernel, jnp.sum(dvs, axis=0)[-len(weights.recurrent_bias) :])
