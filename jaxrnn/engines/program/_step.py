"""One step of a cell for one row, and its derivative, as operations."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.loop import varying_like
from jaxrnn._core.types import Cell
from jaxrnn.engines.program._lowering import lower
from jaxrnn.engines.program._normalizing import normalizing
from jaxrnn.engines.program._operations import Lowered, Matrix
from jaxrnn.engines.program._tape import Ref, Tape, depending, evaluate, needed, record
from jaxrnn.engines.program._views import NotCovered


class Sizes(NamedTuple):
    """The shapes of a step of one row."""

    params: Any
    carry: Any
    u: Any


class Parameters(NamedTuple):
    """What a step reads of the parameters, computed once a sequence."""

    tape: Tape
    read: tuple[Ref, ...]
    is_matrix: tuple[bool, ...]  # those that rows are multiplied by

    def of(self, params: Any) -> list[jax.Array]:
        """The arrays that the step reads."""
        leaves = jax.tree.leaves(params)
        values = {Ref(i): leaf for i, leaf in enumerate(leaves)}
        known = depending(self.tape, [Ref(i) for i in range(len(leaves), len(self.tape.inputs))])
        entries = [e for e in self.tape.entries if known.isdisjoint(e.outputs)]
        evaluate(needed(entries, self.read), values)
        return varying_like(leaves, [values[ref] for ref in self.read])


class Pullback(NamedTuple):
    """Where the outputs of a step and of its derivative are among those of `joint`."""

    carry: range  # the new carry
    multiplied: range  # what each product multiplies
    vectors: range  # the cotangents of the parameters that are no matrices
    before: range  # of the carry before the step
    inputs: range  # of u
    products: range  # of each product


class StepProgram(NamedTuple):
    """A step and its derivative.

    Attributes:
      parameters: what it reads of them.
      products: for each product, the number of its matrix in ``parameters.read``.
      matrices: how it reads it.
      joint: the operations; its inputs are the carry, u, and the cotangent of the new carry.
      pullback: its outputs.
      known: the tape of `joint`, of whose inputs the first are ``parameters.read``,
        and the next a zero for each product.
      sizes: of a row.
      dtype: of all numbers.
    """

    parameters: Parameters
    products: tuple[int, ...]
    matrices: tuple[Matrix, ...]
    joint: Lowered
    pullback: Pullback
    known: Tape
    sizes: Sizes
    dtype: np.dtype

    def known_values(self, read: list[jax.Array], wanted: list[Any]) -> list[jax.Array]:
        """What the operations read that is the same for all rows."""
        values = {Ref(i): x for i, x in enumerate(read)}
        rows = [Ref(i) for i in range(len(read) + len(self.products), len(self.known.inputs))]
        dependent = depending(self.known, rows)
        entries = [e for e in self.known.entries if dependent.isdisjoint(e.outputs)]
        evaluate(needed(entries, wanted), values)
        found = [values[x] if isinstance(x, Ref) else jnp.asarray(x) for x in wanted]
        return varying_like(read, found)


def step_program(cell: Cell, sizes: Sizes) -> StepProgram:
    """The program of a step.

    Raises:
      NotCovered: the cell has none; says why.
    """
    dtype = _dtype(sizes)

    def step(params, carry, u):
        return cell.update(params, carry, u, cell.recur(params, carry))

    tape, structure = record(step, *sizes, whole=True)
    if structure != jax.tree.structure(sizes.carry) or [
        tape.types[x.number].shape if isinstance(x, Ref) else np.shape(x) for x in tape.outputs
    ] != [leaf.shape for leaf in jax.tree.leaves(sizes.carry)]:
        raise NotCovered("its parameters have batch axes, as a memory of `jaxrnn.attention` has")
    parameters, entries, products = _split(tape, len(jax.tree.leaves(sizes.params)))
    joint = functools.partial(_joint, tape, parameters, entries, products)
    read = [_shape(tape.types[ref.number]) for ref in parameters.read]
    shifts = [_shape(tape.types[entry.outputs[0].number]) for entry in products]
    rows = jax.tree.leaves(sizes.carry), jax.tree.leaves(sizes.u)
    known, _ = record(joint, read, shifts, *rows, rows[0])
    zeros = range(len(read), len(read) + len(shifts))
    lowered = normalizing(lower(known, len(read) + len(shifts), zeros, dtype))
    numbers = tuple(parameters.read.index(_matrix(entry, parameters)) for entry in products)
    matrices = tuple(o.matrix for o in lowered.operations if o.matrix)[: len(numbers)]
    pullback = _pullback(rows, len(products), parameters)
    return StepProgram(parameters, numbers, matrices, lowered, pullback, known, sizes, dtype)


def _dtype(sizes):
    carry = jax.tree.leaves(sizes.carry)
    dtypes = sorted({leaf.dtype.name for leaf in carry})
    if dtypes not in (["float32"], ["float64"]):
        names = " and ".join(dtypes) or "nothing"
        raise NotCovered(f"programs are for float32 and float64, and its carry holds {names}")
    for leaf in jax.tree.leaves((sizes.u, sizes.params)):
        if leaf.dtype not in (carry[0].dtype, jnp.bool_):
            raise NotCovered(f"its inputs or parameters hold {leaf.dtype.name}")
    return np.dtype(carry[0].dtype)


def _split(tape, num_params):
    """What a step reads of the parameters, the entries that depend on a row, and the products."""
    rows = [Ref(i) for i in range(num_params, len(tape.inputs))]
    dependent = depending(tape, rows)
    entries = needed([e for e in tape.entries if not dependent.isdisjoint(e.outputs)], tape.outputs)
    read, matrices, others, products = [], set(), set(), []
    for entry in entries:
        refs = [x for x in entry.inputs if isinstance(x, Ref) and x not in dependent]
        is_product = entry.equation.primitive.name == "dot_general" and len(refs) == 1
        if is_product:
            products.append(entry)
        (matrices if is_product else others).update(refs)
        read += [ref for ref in refs if ref not in read]
    outputs = [x for x in tape.outputs if isinstance(x, Ref) and x not in dependent]
    others.update(outputs)
    read += [ref for ref in outputs if ref not in read]
    if not matrices.isdisjoint(others):
        raise NotCovered("it multiplies by a parameter that it also reads in another way")
    is_matrix = tuple(ref in matrices for ref in read)
    return Parameters(tape, tuple(read), is_matrix), entries, products


def _matrix(entry, parameters):
    return next(x for x in entry.inputs if x in parameters.read)


def _joint(tape, parameters, entries, products, read, shifts, carry, u, dcarry):
    """A step, what it multiplies, and all cotangents: of vectors, carry, u and products.

    The products are shifted by zeros, whose cotangents are theirs.
    """
    first = len(tape.inputs) - len(carry) - len(u)
    vectors = [x for x, flag in zip(read, parameters.is_matrix, strict=True) if not flag]

    def step(vectors, carry, u, shifts):
        vectors, shifts, multiplied = iter(vectors), iter(shifts), []
        values = {
            ref: x if flag else next(vectors)
            for ref, x, flag in zip(parameters.read, read, parameters.is_matrix, strict=True)
        }
        values.update({Ref(first + i): x for i, x in enumerate((*carry, *u))})

        def change(entry, out):
            if entry.outputs not in names:
                return out
            row = next(x for x in entry.inputs if x not in parameters.read)
            multiplied.append(values[row])
            return [out[0] + next(shifts)]

        evaluate(entries, values, change)
        new = [values[x] if isinstance(x, Ref) else jnp.asarray(x) for x in tape.outputs]
        return new, multiplied

    names = {entry.outputs for entry in products}
    floats = [x for x in u if x.dtype != jnp.bool_]

    def of_floats(vectors, carry, floats, shifts):
        given = iter(floats)
        return step(vectors, carry, [x if x.dtype == jnp.bool_ else next(given) for x in u], shifts)

    new, pull, multiplied = jax.vjp(of_floats, vectors, carry, floats, shifts, has_aux=True)
    return new, multiplied, *pull(list(dcarry))


def _pullback(rows, num_products, parameters):
    carry, u = rows
    floats = sum(leaf.dtype != jnp.bool_ for leaf in u)
    counts = (
        len(carry),
        num_products,
        parameters.is_matrix.count(False),
        len(carry),
        floats,
        num_products,
    )
    ranges, start = [], 0
    for count in counts:
        ranges.append(range(start, start + count))
        start += count
    return Pullback(*ranges)


def _shape(aval):
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)
