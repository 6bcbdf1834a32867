"""Gradients that are one product over all steps, because each projection is linear."""

import jax
import jax.numpy as jnp

from jaxrnn._core.masking import zero_where_masked
from jaxrnn.engines.cpu._calls import call_library, shape_of
from jaxrnn.engines.kernel._operands import (
    Cotangents,
    Flags,
    Primals,
    Products,
    Recurrence,
    Saved,
    Weights,
)


def products(
    recurrence: Recurrence,
    primals: Primals,
    flags: Flags,
    saved: Saved,
    cotangents: Cotangents,
    of_weights: bool,
    of_inputs: bool,
) -> Products:
    """The cotangents of the weights and of the inputs, each one product over all steps.

    Args:
      recurrence: the cell, and the direction.
      primals: the arguments.
      flags: the mask and the resets.
      saved: what the forward pass has kept of them.
      cotangents: of the two projections of each step.
      of_weights: whether the weights are asked for.
      of_inputs: whether the inputs are.
    """

    @jax.custom_batching.custom_vmap
    def call(*args):
        return _by_library(recurrence, of_weights, of_inputs, *args)

    @call.def_vmap
    def rule(size, is_mapped, *args):  # rows of their own for each index of the mapped axis
        axes = jax.tree.map(lambda flag: 0 if flag else None, is_mapped)
        out = jax.vmap(lambda *args: _by_xla(recurrence, of_weights, of_inputs, *args), axes)(*args)
        return out, jax.tree.map(lambda _: True, out)

    h = primals.states.carry[0]
    previous = (h, saved.ys, saved.previous)
    mask, dus, dvs = flags.mask, cotangents.us, cotangents.vs
    return call(primals.weights, primals.inputs, previous, mask, dus, dvs)


def _by_library(recurrence, of_weights, of_inputs, weights, inputs, previous, mask, dus, dvs):
    if not (of_weights or (of_inputs and weights.kernel is not None)):
        return Products(jax.tree.map(lambda _: None, weights), dus if of_inputs else None)
    h, ys, before = previous
    projects = weights.kernel is not None
    operands = [weights.kernel, inputs if projects else None, before, h, ys, dus, dvs, mask]
    like = [shape_of(leaf.dtype, *leaf.shape) if leaf is not None else None for leaf in weights]
    dkernel, dbias, drecurrent, drecurrent_bias = like if of_weights else [None] * 4
    dinputs = shape_of(inputs.dtype, *inputs.shape) if of_inputs and projects else None
    results = [dkernel, dbias, drecurrent, drecurrent_bias, dinputs]
    *dweights, dinputs = call_library("jaxrnn_gradients", recurrence, dus, operands, results, {})
    if of_inputs and not projects:
        dinputs = dus
    return Products(Weights(*dweights), dinputs)


def _by_xla(recurrence, of_weights, of_inputs, weights, inputs, previous, mask, dus, dvs):
    inputs = zero_where_masked(mask, inputs)  # the cotangents of masked steps are zero
    h, ys, before = previous
    if before is None:
        rows = (ys[1:], h[None]) if recurrence.reverse else (h[None], ys[:-1])
        before = jnp.concatenate(rows)

    def outer(a, b):
        a = a.astype(b.dtype).reshape(-1, a.shape[-1])
        return a.T @ b.reshape(-1, b.shape[-1])

    dkernel = dbias = dinputs = None
    if weights.kernel is not None:
        dkernel, dbias = outer(inputs, dus), dus.sum((0, 1))
        dinputs = (dus @ weights.kernel.astype(dus.dtype).T).astype(inputs.dtype)
    if dvs is None:
        drecurrent, drecurrent_bias = outer(before, dus), None
    else:
        shared = dus[..., : -dvs.shape[-1]]
        drecurrent = jnp.concatenate((outer(before, shared), outer(before, dvs)), 1)
        drecurrent_bias = dvs.sum((0, 1))
    dweights = Weights(dkernel, dbias, drecurrent, drecurrent_bias)
    dweights = jax.tree.map(
        lambda leaf, d: d.astype(leaf.dtype) if of_weights else None, weights, dweights
    )
    return Products(dweights, (dus if dinputs is None else dinputs) if of_inputs else None)
