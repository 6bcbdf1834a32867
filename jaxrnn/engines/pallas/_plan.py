"""What is fixed about a loop when it is traced."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.extend.core import jaxpr_as_fun


class Linear(NamedTuple):
    """A loop over linear maps A_t: ``h' = A_t h + b_t``, whose results are all h'.

    Attributes:
      lagged: the transposed order, in which b comes first: ``g = h + b_t``, h' = A_t g, and the
        results are all g.
      transposed: whether the transposes of the maps take their place.
      absent: which leaves of b are zeros, numbered as those of h: no kernel reads them.
    """

    lagged: bool = False
    transposed: bool = False
    absent: tuple[int, ...] = ()


class Plan(NamedTuple):
    """How the operands of a loop are to be read.

    They are constants, the carry before the first step, and sequences: what each step reads. Of a
    linear loop, the last sequences are b.

    Attributes:
      length: T.
      reverse: whether the last step runs first.
      num_consts: how many operands are constants.
      num_carry: how many leaves the carry has.
      linear: of a loop over linear maps; None for a loop over any steps.
      has_rows: whether the first axis of the carry is a batch axis.
      grid: sizes of the axes that are mapped around the loop, each index with a loop of its own.
      axes: for each operand the axes of `grid` that it has, in order: in front, or after time.
      wanted: for each result of a step whether anything reads it.
    """

    length: int
    reverse: bool
    num_consts: int
    num_carry: int
    linear: Linear | None
    has_rows: bool
    grid: tuple[int, ...]
    axes: tuple[tuple[int, ...], ...]
    wanted: tuple[bool, ...]

    def split(self, operands: Any) -> tuple[Any, Any, Any]:
        """The constants, the carry and the sequences."""
        first, second = self.num_consts, self.num_consts + self.num_carry
        return operands[:first], operands[first:second], operands[second:]

    def lead(self, number: int) -> int:
        """Before which axis an operand has those of the grid: 1, after time, for sequences."""
        return int(number >= self.num_consts + self.num_carry)

    def one(self, number: int, operand: Any) -> jax.ShapeDtypeStruct:
        """An operand at one step, for one index of the grid."""
        start = self.lead(number) + len(self.axes[number])
        return jax.ShapeDtypeStruct(operand.shape[start:], operand.dtype)


def body_of(plan: Plan, program: Any) -> Callable:
    """One step, ``(*consts, *carry, *sequences) -> (*carry, *results)``, all flat.

    Args:
      plan: of the loop.
      program: the step; of a linear loop the map, ``(*consts, *carry, *maps) -> carry``.
    """
    if plan.linear is None:
        return jaxpr_as_fun(program)
    apply = maps_of(plan, program)

    def body(*operands):
        consts, h, sequences = plan.split(operands)
        maps, b = sequences[: -len(h)], sequences[-len(h) :]

        def plus_b(h):
            absent = plan.linear.absent
            return [x if i in absent else x + y for i, (x, y) in enumerate(zip(h, b, strict=True))]

        if plan.linear.lagged:
            g = plus_b(h)
            return [*apply(consts, g, maps), *g]
        new = plus_b(apply(consts, h, maps))
        return [*new, *new]

    return body


def maps_of(plan: Plan, program: Any) -> Callable:
    """The map of one step of a linear loop, ``(consts, h, maps) -> h``, transposed if it is to be.

    Args: as for `body_of`.
    """
    run = jaxpr_as_fun(program)

    def apply(consts, h, maps):
        def one(*h):
            return run(*consts, *h, *maps)

        return list(jax.linear_transpose(one, *h)(list(h))) if plan.linear.transposed else one(*h)

    return apply
