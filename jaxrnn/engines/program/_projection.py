"""The projection of a cell: products of the inputs with matrices, and what a step makes of them."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.types import Cell
from jaxrnn.engines.program._step import Parameters
from jaxrnn.engines.program._tape import Entry, Ref, depending, evaluate, needed, record


class InputMatrix(NamedTuple):
    """A matrix that the inputs are multiplied by."""

    number: int  # in `Parameters.read`
    is_transposed: bool
    width: int  # of the product
    bias: int | None  # in `Parameters.read`, of what is added to the product alone


@dataclasses.dataclass(frozen=True, eq=False)
class Projection:
    """A projection that begins with products.

    Attributes:
      parameters: the matrices and the biases.
      matrices: one for each product.
      products: the values of the tape of the projection that are given, one for each.
      rest: the entries that follow.
      reads_inputs: whether these read the inputs too.
      structure: of what the projection returns.
    """

    parameters: Parameters
    matrices: tuple[InputMatrix, ...]
    products: tuple[Ref, ...]
    rest: tuple[Entry, ...]
    reads_inputs: bool
    structure: Any

    def given(self, x: Any) -> list[jax.ShapeDtypeStruct]:
        """What a step is given: the products for an input like x (..., I), and x if it reads it."""
        shape, dtype = x.shape[:-1], x.dtype
        out = [jax.ShapeDtypeStruct((*shape, m.width), dtype) for m in self.matrices]
        return [*out, x] if self.reads_inputs else out

    def _finish(self, params: Any, given: Any) -> Any:
        """What `Cell.project` returns, for one row."""
        tape, products = self.parameters.tape, iter(given)
        leaves = jax.tree.leaves(params)
        values = {Ref(i): leaf for i, leaf in enumerate(leaves)}
        for product in self.products:
            values[product] = next(products).reshape(tape.types[product.number].shape)
        if self.reads_inputs:
            values[Ref(len(leaves))] = next(products)
        evaluate(self.rest, values)
        out = [values[x] if isinstance(x, Ref) else jnp.asarray(x) for x in tape.outputs]
        return jax.tree.unflatten(self.structure, out)

    def after(self, cell: Cell) -> Cell:
        """`cell`, for one row, whose `update` takes what a step is given."""

        def update(params, carry, given, v):
            return cell.update(params, carry, self._finish(params, given), v)

        return cell._replace(update=update)


def projection_of(cell: Cell, params: Any, x: jax.ShapeDtypeStruct) -> Projection | None:
    """The projection of `cell` for a row x (I,); None where it does not begin with products."""
    tape, structure = record(cell.project, params, x, whole=True)
    row = Ref(len(tape.inputs) - 1)
    same, dependent = _same_numbers(tape, row), depending(tape, [row])
    products = [e for e in tape.entries if _multiplies(e, same, dependent, tape)]
    if not products:
        return None
    read, matrices, given = [], [], []
    for entry in products:
        side = next(x for x in entry.inputs if x not in same)
        out, bias = _with_bias(tape, entry.outputs[0], dependent)
        is_transposed, width = _form(entry, same, tape)
        read += [ref for ref in (side, bias) if ref is not None and ref not in read]
        number = None if bias is None else read.index(bias)
        matrices.append(InputMatrix(read.index(side), is_transposed, width, number))
        given.append(out)
    found = {row, *given}
    rest = [e for e in tape.entries if found.isdisjoint(e.outputs)]
    rest = tuple(needed(rest, tape.outputs))
    reads_inputs = row in tape.outputs or any(row in entry.inputs for entry in rest)
    parameters = Parameters(tape, tuple(read), (True,) * len(read))
    return Projection(parameters, tuple(matrices), tuple(given), rest, reads_inputs, structure)


def _with_bias(tape, product, dependent):
    """The sum of a product and a bias, where nothing else reads the product; None without one."""
    value = product
    while True:
        readers = [entry for entry in tape.entries if value in entry.inputs]
        if len(readers) != 1 or value in tape.outputs:
            return product, None
        (entry,) = readers
        if entry.equation.primitive.name in ("reshape", "squeeze"):
            (value,) = entry.outputs
            continue
        others = [x for x in entry.inputs if x != value]
        is_sum = entry.equation.primitive.name in ("add", "add_any") and len(others) == 1
        if not is_sum or others[0] in dependent or not isinstance(others[0], Ref):
            return product, None
        size = tape.types[product.number].size
        return (*entry.outputs, others[0]) if tape.types[others[0].number].size == size else (
            product, None
        )  # fmt: skip


def _same_numbers(tape, row):
    """The values that hold the numbers of `row`, in their order."""
    found = {row}
    for entry in tape.entries:
        if entry.equation.primitive.name in ("reshape", "squeeze") and entry.inputs[0] in found:
            found.update(entry.outputs)
    return found


def _multiplies(entry, same, dependent, tape):
    """Whether it is the product of the row and a matrix that is the same for all rows."""
    if entry.equation.primitive.name != "dot_general":
        return False
    others = [x for x in entry.inputs if x not in same]
    if len(others) != 1 or others[0] in dependent or not isinstance(others[0], Ref):
        return False
    contracted, batched = entry.equation.params["dimension_numbers"]
    is_one = len(contracted[0]) == 1 and not any(batched)
    return is_one and len(tape.types[others[0].number].shape) == 2


def _form(entry, same, tape):
    """Whether the matrix is transposed, and the width of the product."""
    contracted, _ = entry.equation.params["dimension_numbers"]
    (axis,) = contracted[entry.inputs[0] in same]
    return axis == 1, tape.types[entry.outputs[0].number].size
