"""The gradients of the parameters of a program: products over all steps, and sums."""

import jax
import jax.numpy as jnp

from jaxrnn._core.loop import shape_like, varying_like
from jaxrnn.engines.cpu._program_calls import saved_arrays
from jaxrnn.engines.kernel._operands import (
    Cotangents,
    Flags,
    Primals,
    Products,
    Recurrence,
    Saved,
)
from jaxrnn.engines.program._code import Place


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
    dinputs = cotangents.us if of_inputs else jax.tree.map(lambda _: None, primals.inputs)
    if not of_weights:
        return Products(jax.tree.map(lambda _: None, primals.weights), dinputs)
    programs = recurrence.kernel.programs
    step, (sums, dproducts) = programs.step, cotangents.vs
    arrays = saved_arrays(recurrence, saved)
    arrays |= {Place("first", j): x for j, x in enumerate(primals.states.carry)}
    read, pull = jax.vjp(step.parameters.of, primals.weights)
    dread = [jnp.zeros_like(x) for x in read]
    vectors = [i for i, flag in enumerate(step.parameters.is_matrix) if not flag]
    for i, total in zip(vectors, sums, strict=True):
        dread[i] = jnp.sum(total, axis=0).reshape(read[i].shape)
    details = zip(step.products, step.matrices, programs.multiplied, dproducts, strict=True)
    for number, matrix, place, db in details:
        first, a = _multiplied(arrays, place)
        out = _outer(recurrence.reverse, matrix, first, a, db)
        dread[number] = dread[number] + out.reshape(read[number].shape)
    return Products(pull(dread)[0], dinputs)


def _multiplied(arrays, place):
    """What rows are multiplied at the first step, None where `a` has it, and at the others."""
    if place in arrays:
        return None, arrays[place]
    return arrays[Place("first", place.number)], arrays[Place("after", place.number)]


def _outer(reverse, matrix, first, a, b):
    """The sum over all rows of the outer products of a and b, as the matrix lies in memory."""
    if matrix.heads == 1:
        out = _by_library(reverse, first, a, b)
        return out.T if matrix.is_transposed else out
    a = _before(reverse, first, a).reshape(*a.shape[:2], matrix.heads, matrix.depth)
    b = b.reshape(*b.shape[:2], matrix.heads, matrix.units)
    return jnp.einsum("tbhn,tbhk->hnk" if matrix.is_transposed else "tbhk,tbhn->hkn", *(
        (b, a) if matrix.is_transposed else (a, b)
    ))  # fmt: skip


def _by_library(reverse, first, a, b):
    has_first = first is not None

    @jax.custom_batching.custom_vmap
    def call(first, a, b):
        shape = shape_like(b, (a.shape[-1], b.shape[-1]), b.dtype)
        outer = jax.ffi.ffi_call("jaxrnn_outer", shape)
        return outer(*varying_like(b, (first, a, b)), reverse=reverse)

    @call.def_vmap
    def rule(size, is_mapped, first, a, b):
        axes = [0 if flag else None for flag in is_mapped]

        def by_xla(first, a, b):
            a = _before(reverse, first if has_first else None, a)
            return a.reshape(-1, a.shape[-1]).T @ b.reshape(-1, b.shape[-1])

        return jax.vmap(by_xla, axes)(first, a, b), True

    return call(first if has_first else jnp.zeros((0,), b.dtype), a, b)


def _before(reverse, first, a):
    if first is None:
        return a
    return jnp.concatenate((a[1:], first[None]) if reverse else (first[None], a[:-1]))
