"""What a program is given of the inputs at each step."""

from collections.abc import Mapping, Sequence

import jax

from jaxrnn.engines.cpu._dense import Times, multiply
from jaxrnn.engines.kernel._operands import Flags, Recurrence
from jaxrnn.engines.program._placement import Place

# A call of a program makes the products of the inputs itself, some steps at a time, for at least
# so many rows, which its threads divide, and matrices of at most so many numbers, which stay in a
# cache beside those of the step.
_SEVERAL, _SMALL = 8, 1 << 16


def given_to(
    recurrence: Recurrence, params: jax.Array, inputs: Sequence[jax.Array], flags: Flags
) -> tuple[jax.Array | Times, ...]:
    """The sequences that a program reads, or what it makes them of.

    Args:
      recurrence: whose program it is.
      params: of its cell.
      inputs: the leaves of x (T, B, I), or of u without a projection.
      flags: which rows are real.
    """
    projection = recurrence.kernel.projection
    if projection is None:
        return tuple(inputs)
    read = projection.parameters.of(params)
    asked = []
    for matrix in projection.matrices:
        bias = None if matrix.bias is None else read[matrix.bias].reshape(matrix.width)
        sides = inputs[matrix.leaf], read[matrix.number], bias
        asked.append(Times(*sides, is_transposed=matrix.is_transposed, has_zeros=False))
    if inputs[0].shape[1] < _SEVERAL or sum(one.matrix.size for one in asked) > _SMALL:
        asked = [out for (out,) in multiply(recurrence, flags.mask, asked)]
    return (*asked, *(inputs[i] for i in projection.leaves))


def numbers_of_projections(
    given: Sequence[jax.Array | Times], shared: Mapping[Place, int]
) -> list[int]:
    """What the library is told of the products that it makes.

    Args:
      given: the result of `given_to`.
      shared: the numbers of the results in whose place some of them lie.
    """
    asked = [one for one in given if isinstance(one, Times)]
    numbers = [len(asked)]
    for i, one in enumerate(asked):
        at = shared.get(Place("input", i), -1)
        numbers += [one.left.shape[-1], one.is_transposed, one.bias is not None, at]
    return numbers
