"""Calls of programs in the shared library."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.loop import shape_like, varying_like
from jaxrnn.engines.cpu._calls import instruction_set, shape_of
from jaxrnn.engines.cpu._dense import Times
from jaxrnn.engines.cpu._program_inputs import given_to, numbers_of_projections
from jaxrnn.engines.kernel._folding import foldable
from jaxrnn.engines.kernel._operands import (
    Cotangents,
    Flags,
    Primals,
    Recurrence,
    Result,
    Saved,
)
from jaxrnn.engines.program._code import Code
from jaxrnn.engines.program._placement import Place


def forward(recurrence: Recurrence, primals: Primals, flags: Flags) -> Result:
    """The leaves of the carry that are handed out alone."""
    programs = recurrence.kernel.programs

    def call(params, states, sequences):
        inputs, flags = sequences
        given = given_to(recurrence, params, inputs, flags)
        out = _run(recurrence, programs.forward(), params, states, inputs, flags, given)
        return out[0], tuple(out[-1][Place("after", j)] for j in programs.outs)

    return Result(*foldable(call)(primals.weights, primals.states, (primals.inputs, flags)))


def training_forward(
    recurrence: Recurrence, primals: Primals, flags: Flags
) -> tuple[Result, Saved]:
    """The same, and what the backward pass needs."""
    programs = recurrence.kernel.programs
    code = programs.training_forward()

    def call(params, states, sequences):
        inputs, flags = sequences
        given = given_to(recurrence, params, inputs, flags)
        out = _run(recurrence, code, params, states, inputs, flags, given)
        kept = tuple(out[-1][place] for place, _ in code.results)
        products = (Place("input", i) for i in _kept_products(recurrence))
        return out[0], (kept, tuple(out[-1][place] for place in products))

    states, (kept, products) = foldable(call)(
        primals.weights, primals.states, (primals.inputs, flags)
    )
    found = {place: x for (place, _), x in zip(code.results, kept, strict=True)}
    ys = tuple(found[Place("after", j)] for j in programs.outs)
    return Result(states, ys), Saved(kept, None, None, products)


def _kept_products(recurrence):
    """The numbers of the products of the inputs that the backward pass reads."""
    projection = recurrence.kernel.projection
    count = 0 if projection is None else len(projection.matrices)
    code = recurrence.kernel.programs.backward()
    return [i for i in range(count) if Place("input", i) in code.operands]


def backward(
    recurrence: Recurrence, primals: Primals, flags: Flags, saved: Saved, dresult: Result
) -> Cotangents:
    """Backpropagation through time, but for the products over all steps."""
    kernel = recurrence.kernel
    programs, projection = kernel.programs, kernel.projection
    code = programs.backward()

    def call(params, states, sequences):
        (carry, initial), dcarry = states
        inputs, flags, saved, dys = sequences
        arrays = saved_arrays(recurrence, saved)
        arrays |= {Place("first", j): x for j, x in enumerate(carry)}
        arrays |= {Place("initial", j): x for j, x in enumerate(initial or ())}
        arrays |= {Place("dafter", j): x for j, x in zip(programs.outs, dys, strict=True)}
        read = inputs if projection is None else [inputs[i] for i in projection.leaves]
        first = 0 if projection is None else len(projection.matrices)
        arrays |= {Place("input", first + i): x for i, x in enumerate(read)}
        states = dcarry, None
        out = _run(recurrence, code, params, states, inputs, flags, (), arrays, backward=True)
        last, dinitial, sums, found = out
        if dinitial is None:
            dinitial = jax.tree.map(jnp.zeros_like, last)
        dgiven = _cotangents_of_given(recurrence, code, found, inputs)
        count = len(programs.step.products)
        dproducts = tuple(_found(code, found, Place("dproduct", i)) for i in range(count))
        return (last, dinitial, sums), (dgiven, dproducts)

    states = primals.states, tuple(dresult.carry)
    sequences = primals.inputs, flags, saved, dresult.ys
    states, (dgiven, dproducts) = foldable(call)(primals.weights, states, sequences)
    last, dinitial, sums = states
    return Cotangents(last, dinitial, dgiven, (sums, dproducts))


def _cotangents_of_given(recurrence, code, found, inputs):
    """Those of what the program is given: zeros where a leaf holds truth values."""
    leaves = jax.tree.leaves(recurrence.kernel.programs.step.sizes.u)
    numbers = itertools.count()
    return tuple(
        jnp.zeros((*inputs[0].shape[:2], math.prod(leaf.shape)), inputs[0].dtype)
        if leaf.dtype == jnp.bool_
        else _found(code, found, Place("dinput", next(numbers)))
        for leaf in leaves
    )


def saved_arrays(recurrence: Recurrence, saved: Saved) -> dict[Place, jax.Array]:
    """What a forward pass has kept, by its place."""
    code = recurrence.kernel.programs.training_forward()
    found = {place: x for (place, _), x in zip(code.results, saved.ys, strict=True)}
    products = zip(_kept_products(recurrence), saved.extra, strict=True)
    found |= {Place("input", i): x for i, x in products}
    return found | {alias: found[place] for alias, place in code.aliases.items()}


def _found(code, found, place):
    """The array that holds a place, alone or among others."""
    if place in code.within:
        place = code.within[place].place
    return found[code.aliases.get(place, place)]


def columns_of_products(recurrence: Recurrence) -> list[tuple[int, int] | None]:
    """Where the cotangent of each product is in its array."""
    programs = recurrence.kernel.programs
    within = programs.backward().within
    places = [within.get(Place("dproduct", i)) for i in range(len(programs.step.products))]
    return [None if at is None else (at.begin, at.end) for at in places]


def _run(
    recurrence, code: Code, params, states, inputs, flags, given, arrays=None, *, backward=False
):
    """The state after the last step, that of resets, the sums in one, and the sequences by place.

    `inputs` tell the steps and the rows, and `given` is the result of `given_to`.
    """
    step = recurrence.kernel.programs.step
    carry, initial = states
    steps, batch, _ = inputs[0].shape
    arrays = {**(arrays or {}), **{Place("input", i): x for i, x in enumerate(given)}}
    known = step.known_values(step.parameters.of(params), [x for x, _ in code.known])
    operands = [flag for flag in flags if flag is not None]
    for j, leaf in enumerate(carry):
        operands.append(leaf)
        if flags.resets is not None and not backward:
            operands.append(initial[j])
    position, projected = {}, []
    for place in code.operands:
        position[place] = len(operands)
        if place.space == "known":
            shape = code.known[place.number][1]
            operands.append(known[place.number].reshape(shape).astype(step.dtype))
        elif place.space == "lagged":
            spaces = ("after", "first") if flags.resets is None else ("after", "first", "initial")
            operands += [arrays[Place(space, place.number)] for space in spaces]
        elif isinstance(arrays[place], Times):
            projected.append(place)
            operands += [x for x in arrays[place].operands() if x is not None]
        else:
            operands.append(arrays[place])
    dtype = step.dtype
    of_carry = [shape_of(dtype, *leaf.shape) for leaf in carry]
    has_two = backward and flags.resets is not None
    results = [shape for shape in of_carry for _ in range(1 + has_two)]
    results += [shape_of(dtype, batch, sum(code.sums))] if code.sums else []
    first, places = len(results), [place for place, _ in code.results]
    results += [shape_of(dtype, steps, batch, width) for _, width in code.results]
    # Where what is written in place of a projection lies, the projection does.
    shared = {array: places.index(place) for place, array in code.reused.items()}
    own = [place for place in projected if place not in shared]
    results += [shape_of(dtype, *arrays[place].shapes()[0]) for place in own]
    reused = {position[a]: first + at for a, at in shared.items() if a not in projected}
    head = [backward, flags.mask is not None, flags.resets is not None]
    head += numbers_of_projections(given, shared)
    call = recurrence, head, code, inputs[0], operands, results, steps, batch, backward, reused
    out = list(_call(*call))
    ends, out = out[: len(carry) * (1 + has_two)], out[len(carry) * (1 + has_two) :]
    last, dinitial = (tuple(ends[::2]), tuple(ends[1::2])) if has_two else (tuple(ends), None)
    sums = out.pop(0) if code.sums else None
    found = dict(zip((*places, *own), out, strict=True))
    given = {Place("input", i): x for i, x in enumerate(given) if not isinstance(x, Times)}
    found |= {alias: found[place] for alias, place in code.aliases.items() if place in found}
    return last, dinitial, sums, given | found


def _call(recurrence, head, code, like, operands, results, steps, batch, backward, reused):
    types = [shape_like(like, result.shape, result.dtype) for result in results]
    call: Any = jax.ffi.ffi_call("jaxrnn_program", types, input_output_aliases=reused)
    return call(
        *varying_like(like, operands),
        program=np.array((*map(int, head), *code.body), np.int64),
        numbers=np.array(code.numbers, np.float64),
        steps=np.int64(steps),
        batch=np.int64(batch),
        instruction_set=instruction_set(recurrence),
        reverse=bool(recurrence.reverse != backward),
        is_double=results[0].dtype == np.float64,
    )
