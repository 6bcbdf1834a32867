"""The gradients of the parameters of a program: products over all steps, and sums."""

import jax
import jax.numpy as jnp

from jaxrnn.engines.cpu._dense import Outer, Sums, Times, multiply
from jaxrnn.engines.cpu._past import Past
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
    outers, asked = [], []
    if of_weights:
        outers = _outers(recurrence, primals, flags, saved, cotangents)
        matrices = recurrence.kernel.programs.step.matrices
        pairs = zip(matrices, outers, strict=True)
        asked = [outer for matrix, outer in pairs if matrix.heads == 1]
        asked += _outers_of_projection(recurrence, primals, cotangents.us)
        sums, widths = cotangents.vs[0], recurrence.kernel.programs.backward().sums
        asked += [] if sums is None else [Sums(sums, widths)]
    count = len(asked)
    if of_inputs:
        asked += _products_of_inputs(recurrence, primals, cotangents.us)
    found = multiply(recurrence, flags.mask, asked)
    dweights, dinputs = jax.tree.map(lambda _: None, (primals.weights, primals.inputs))
    if of_inputs:
        dinputs = _of_inputs(recurrence, primals, cotangents.us, found[count:])
    if of_weights:
        dweights = _of_weights(recurrence, primals, flags, outers, cotangents, found[:count])
    return Products(dweights, dinputs)


def _products_of_inputs(recurrence, primals, dgiven):
    projection = recurrence.kernel.projection
    if projection is None:
        return []
    read = projection.parameters.of(primals.weights)
    return [
        Times(dproduct, read[matrix.number], is_transposed=not matrix.is_transposed)
        for matrix, dproduct in zip(projection.matrices, dgiven, strict=False)
    ]


def _of_inputs(recurrence, primals, dgiven, found):
    projection = recurrence.kernel.projection
    if projection is None:
        return dgiven
    totals = [jnp.zeros_like(x) for x in primals.inputs]
    for leaf, dleaf in zip(projection.leaves, dgiven[len(projection.matrices) :], strict=True):
        totals[leaf] = dleaf
    for matrix, (product,) in zip(projection.matrices, found, strict=True):
        totals[matrix.leaf] += product
    return tuple(totals)


def _outers(recurrence, primals, flags, saved, cotangents):
    """What makes the gradient of the matrix of each product of the step."""
    programs = recurrence.kernel.programs
    arrays = saved_arrays(recurrence, saved)
    initial, resets = primals.states.initial, flags.resets
    columns = columns_of_products(recurrence)
    lists = programs.multiplied, cotangents.vs[1], columns
    outers = []
    for place, db, at in zip(*lists, strict=True):
        past, a = None, arrays.get(place)
        if place.space == "before":
            j = place.number
            past = Past(primals.states.carry[j], initial and initial[j], resets)
            a = arrays[Place("after", j)]
        outers.append(Outer(a, db, past, at))
    return outers


def _outers_of_projection(recurrence, primals, dgiven):
    projection = recurrence.kernel.projection
    matrices = () if projection is None else projection.matrices
    pairs = zip(matrices, dgiven, strict=False)
    return [Outer(primals.inputs[matrix.leaf], db) for matrix, db in pairs]


def _of_weights(recurrence, primals, flags, outers, cotangents, found):
    programs, projection = recurrence.kernel.programs, recurrence.kernel.projection
    step, found = programs.step, iter(found)
    read, pull = jax.vjp(step.parameters.of, primals.weights)
    dread, totals = [jnp.zeros_like(x) for x in read], {}
    lists = step.products, step.matrices, outers
    for i, (number, matrix, outer) in enumerate(zip(*lists, strict=True)):
        if matrix.heads > 1:
            out, total = _outer_of_heads(matrix, *outer.sides(recurrence, flags.mask))
        else:
            out, total = next(found)
            out = out.T if matrix.is_transposed else out
        dread[number] = dread[number] + out.reshape(read[number].shape)
        totals["dproduct", i] = total
    of_projection = None
    if projection is not None:
        matrices, pull_projection = jax.vjp(projection.parameters.of, primals.weights)
        dmatrices = [jnp.zeros_like(x) for x in matrices]
        for i, matrix in enumerate(projection.matrices):
            out, total = next(found)
            totals["dinput", i] = total
            dmatrices[matrix.number] += out.T if matrix.is_transposed else out
            if matrix.bias is not None:
                dmatrices[matrix.bias] += total.reshape(matrices[matrix.bias].shape)
        (of_projection,) = pull_projection(dmatrices)
    vectors = [i for i, flag in enumerate(step.parameters.is_matrix) if not flag]
    own = iter(next(found, ()))
    for i, place in zip(vectors, programs.sums, strict=True):
        total = next(own) if place is None else totals[place]
        dread[i] = total.reshape(read[i].shape)
    (dweights,) = pull(dread)
    return dweights if of_projection is None else jax.tree.map(jnp.add, dweights, of_projection)


def _outer_of_heads(matrix, a, b):
    """The sum of the outer products of each head, as the matrix lies in memory, and that of b."""
    total, (steps, batch, _) = b.sum((0, 1)), a.shape
    a = a.reshape(steps, batch, matrix.heads, matrix.depth)
    b = b.reshape(steps, batch, matrix.heads, matrix.units)
    if matrix.is_transposed:
        return jnp.einsum("tbhn,tbhk->hnk", b, a), total
    return jnp.einsum("tbhk,tbhn->hkn", a, b), total
