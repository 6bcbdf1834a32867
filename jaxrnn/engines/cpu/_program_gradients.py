"""The gradients of the parameters of a program: products over all steps, and sums."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.engines.cpu._dense import Past, before, outer_products, times_matrix
from jaxrnn.engines.cpu._program_calls import columns_of_products, saved_arrays
from jaxrnn.engines.kernel._operands import (
    Cotangents,
    Flags,
    Primals,
    Products,
    Recurrence,
    Saved,
)
from jaxrnn.engines.program._placement import Place


def gradients(
    recurrence: Recurrence,
    primals: Primals,
    flags: Flags,
    saved: Saved,
    cotangents: Cotangents,
    of_weights: bool,
    of_inputs: bool,
) -> Products:
    """The cotangents of the parameters and of the inputs.

    Args: as for `products` of a `Backend`.
    """
    nothing = jax.tree.map(lambda _: None, (primals.weights, primals.inputs))
    dweights, dinputs = nothing
    if of_inputs:
        dinputs = _of_inputs(recurrence, primals, flags, cotangents.us)
    if of_weights:
        dweights = _of_weights(recurrence, primals, flags, saved, cotangents)
    return Products(dweights, dinputs)


def _of_inputs(recurrence, primals, flags, dgiven):
    projection = recurrence.kernel.projection
    if projection is None:
        return dgiven
    read, rest = projection.parameters.of(primals.weights), dgiven[len(projection.matrices) :]
    totals = [jnp.zeros_like(x) for x in primals.inputs]
    for leaf, dleaf in zip(projection.leaves, rest, strict=True):
        totals[leaf] = dleaf
    for matrix, dproduct in zip(projection.matrices, dgiven, strict=False):
        is_transposed = not matrix.is_transposed
        side = read[matrix.number]
        totals[matrix.leaf] += times_matrix(
            recurrence, dproduct, side, None, flags.mask, is_transposed=is_transposed
        )
    return tuple(totals)


def _of_weights(recurrence, primals, flags, saved, cotangents):
    programs, projection = recurrence.kernel.programs, recurrence.kernel.projection
    step, (sums, dproducts) = programs.step, cotangents.vs
    arrays = saved_arrays(recurrence, saved)
    initial, resets = primals.states.initial, flags.resets
    pasts = [
        Past(first, initial and initial[j], resets) for j, first in enumerate(primals.states.carry)
    ]
    read, pull = jax.vjp(step.parameters.of, primals.weights)
    dread, totals = [jnp.zeros_like(x) for x in read], {}
    columns = columns_of_products(recurrence)
    lists = step.products, step.matrices, programs.multiplied, dproducts, columns
    for i, (number, matrix, place, db, at) in enumerate(zip(*lists, strict=True)):
        past, a = None, arrays.get(place)
        if place.space == "before":
            past, a = pasts[place.number], arrays[Place("after", place.number)]
        out, totals["dproduct", i] = _outer(recurrence, matrix, past, a, db, flags.mask, at)
        dread[number] = dread[number] + out.reshape(read[number].shape)
    of_projection = None
    if projection is not None:
        matrices, pull_projection = jax.vjp(projection.parameters.of, primals.weights)
        dmatrices = [jnp.zeros_like(x) for x in matrices]
        for i, (matrix, db) in enumerate(zip(projection.matrices, cotangents.us, strict=False)):
            x = primals.inputs[matrix.leaf]
            out, totals["dinput", i] = outer_products(recurrence, None, x, db, flags.mask)
            dmatrices[matrix.number] += out.T if matrix.is_transposed else out
            if matrix.bias is not None:
                total = totals["dinput", i].reshape(matrices[matrix.bias].shape)
                dmatrices[matrix.bias] += total
        (of_projection,) = pull_projection(dmatrices)
    vectors = [i for i, flag in enumerate(step.parameters.is_matrix) if not flag]
    widths = programs.backward().sums
    own = iter(() if sums is None else jnp.split(jnp.sum(sums, axis=0), np.cumsum(widths)[:-1]))
    for i, place in zip(vectors, programs.sums, strict=True):
        total = next(own) if place is None else totals[place]
        dread[i] = total.reshape(read[i].shape)
    (dweights,) = pull(dread)
    return dweights if of_projection is None else jax.tree.map(jnp.add, dweights, of_projection)


def _outer(recurrence, matrix, past, a, b, mask, columns):
    """The sum over all rows of the outer products of a and b, as the matrix lies in memory."""
    if matrix.heads == 1:
        out, total = outer_products(recurrence, past, a, b, mask, columns)
        return (out.T if matrix.is_transposed else out), total
    b = b[..., columns]
    a = before(recurrence, past, a, mask).reshape(*a.shape[:2], matrix.heads, matrix.depth)
    total, b = b.sum((0, 1)), b.reshape(*b.shape[:2], matrix.heads, matrix.units)
    return jnp.einsum("tbhn,tbhk->hnk" if matrix.is_transposed else "tbhk,tbhn->hkn", *(
        (b, a) if matrix.is_transposed else (a, b)
    )), total  # fmt: skip
