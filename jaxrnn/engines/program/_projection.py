"""The projection of a cell: products of the inputs, and what a step makes of them."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.types import Cell
from jaxrnn.engines.program._step import Parameters
from jaxrnn.engines.program._tape import Entry, Ref, depending, evaluate, needed, record

_SAME_NUMBERS = frozenset(("reshape", "squeeze"))


class InputMatrix(NamedTuple):
    """A matrix that the inputs are multiplied by."""

    leaf: int  # of the inputs
    number: int  # in `Parameters.read`
    is_transposed: bool
    width: int  # of the product
    bias: int | None  # in `Parameters.read`, of what is added to the product alone


@dataclasses.dataclass(frozen=True, eq=False)
class Projection:
    """What a step is given in place of the projection: products of x, x itself, or both.

    Attributes:
      parameters: the matrices and the biases.
      matrices: one for each product.
      products: the values of the tape of the projection that are given, one for each.
      rest: the entries that follow.
      leaves: those of x that these read too.
      x: an input of one row.
      structure: of what the projection returns.
    """

    parameters: Parameters
    matrices: tuple[InputMatrix, ...]
    products: tuple[Ref, ...]
    rest: tuple[Entry, ...]
    leaves: tuple[int, ...]
    x: Any
    structure: Any

    def given(self) -> list[jax.ShapeDtypeStruct]:
        """What a step of one row is given: the products, and the leaves of x that it reads."""
        x = jax.tree.leaves(self.x)
        out = [jax.ShapeDtypeStruct((m.width,), x[m.leaf].dtype) for m in self.matrices]
        return [*out, *(x[i] for i in self.leaves)]

    def _finish(self, params: Any, given: Any) -> Any:
        """What `Cell.project` returns, for one row."""
        tape, products = self.parameters.tape, iter(given)
        leaves = jax.tree.leaves(params)
        values = {Ref(i): leaf for i, leaf in enumerate(leaves)}
        for product in self.products:
            values[product] = next(products).reshape(tape.types[product.number].shape)
        for leaf in self.leaves:
            values[Ref(len(leaves) + leaf)] = next(products)
        evaluate(self.rest, values)
        out = [values[x] if isinstance(x, Ref) else jnp.asarray(x) for x in tape.outputs]
        return jax.tree.unflatten(self.structure, out)

    def after(self, cell: Cell) -> Cell:
        """`cell`, for one row, whose `update` takes what a step is given."""

        def update(params, carry, given, v):
            return cell.update(params, carry, self._finish(params, given), v)

        return cell._replace(update=update)


def projection_of(cell: Cell, params: Any, x: Any) -> Projection | None:
    """The projection of `cell` for a row x; None where it has nothing for the program."""
    tape, structure = record(cell.project, params, x, whole=True)
    first = len(jax.tree.leaves(params))
    rows = [Ref(i) for i in range(first, len(tape.inputs))]
    same, dependent = _same_numbers(tape, rows), depending(tape, rows)
    products = [e for e in tape.entries if _multiplies(e, same, dependent, tape)]
    names = {e.equation.primitive.name for e in tape.entries if not dependent.isdisjoint(e.outputs)}
    if not products and names <= _SAME_NUMBERS:
        return None
    read, matrices, given = [], [], []
    for entry in products:
        leaf = next(same[x] for x in entry.inputs if _is_in(x, same))
        side = next(x for x in entry.inputs if not _is_in(x, same))
        out, bias = _with_bias(tape, entry.outputs[0], dependent)
        is_transposed, width = _form(entry, same, tape)
        read += [ref for ref in (side, bias) if ref is not None and ref not in read]
        number = None if bias is None else read.index(bias)
        matrix = InputMatrix(leaf.number - first, read.index(side), is_transposed, width, number)
        matrices.append(matrix)
        given.append(out)
    found = {*rows, *given}
    rest = [e for e in tape.entries if found.isdisjoint(e.outputs)]
    rest = tuple(needed(rest, tape.outputs))
    lists = tape.outputs, *(entry.inputs for entry in rest)
    leaves = tuple(i for i, row in enumerate(rows) if any(_reads(x, row) for x in lists))
    parameters = Parameters(tape, tuple(read), (True,) * len(read))
    return Projection(parameters, tuple(matrices), tuple(given), rest, leaves, x, structure)


def _with_bias(tape, product, dependent):
    """The sum of a product and a bias, where nothing else reads the product; None without one."""
    value = product
    while True:
        readers = [entry for entry in tape.entries if _reads(entry.inputs, value)]
        if len(readers) != 1 or _reads(tape.outputs, value):
            return product, None
        (entry,) = readers
        if entry.equation.primitive.name in _SAME_NUMBERS:
            (value,) = entry.outputs
            continue
        others = [x for x in entry.inputs if not _is_in(x, {value})]
        is_sum = entry.equation.primitive.name in ("add", "add_any") and len(others) == 1
        if not is_sum or others[0] in dependent or not isinstance(others[0], Ref):
            return product, None
        size = tape.types[product.number].size
        return (*entry.outputs, others[0]) if tape.types[others[0].number].size == size else (
            product, None
        )  # fmt: skip


def _same_numbers(tape, rows):
    """The values that hold the numbers of one of `rows`, in their order, and which."""
    found = {row: row for row in rows if len(tape.types[row.number].shape) == 1}
    for entry in tape.entries:
        is_same = entry.equation.primitive.name in _SAME_NUMBERS
        if is_same and _is_in(entry.inputs[0], found):
            found[entry.outputs[0]] = found[entry.inputs[0]]
    return found


def _multiplies(entry, same, dependent, tape):
    """Whether it is the product of the row and a matrix that is the same for all rows."""
    if entry.equation.primitive.name != "dot_general":
        return False
    others = [x for x in entry.inputs if not _is_in(x, same)]
    if len(others) != 1 or others[0] in dependent or not isinstance(others[0], Ref):
        return False
    contracted, batched = entry.equation.params["dimension_numbers"]
    is_one = len(contracted[0]) == 1 and not any(batched)
    return is_one and len(tape.types[others[0].number].shape) == 2


def _form(entry, same, tape):
    """Whether the matrix is transposed, and the width of the product."""
    contracted, _ = entry.equation.params["dimension_numbers"]
    (axis,) = contracted[_is_in(entry.inputs[0], same)]
    return axis == 1, tape.types[entry.outputs[0].number].size


def _reads(inputs, value):
    return any(_is_in(x, {value}) for x in inputs)


def _is_in(x, refs):
    """Whether x, which may be a constant array, is one of `refs`."""
    return isinstance(x, Ref) and x in refs
