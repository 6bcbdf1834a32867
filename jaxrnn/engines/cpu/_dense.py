"""Products over all rows of a sequence in the shared library, which leave out masked rows."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.loop import shape_like, varying_like
from jaxrnn.engines.cpu._calls import instruction_set
from jaxrnn.engines.cpu._past import Past, before
from jaxrnn.engines.kernel._operands import Recurrence

_STATIC = {"static": True}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Times:
    """Rows times a matrix, or its transpose, plus a bias: (T, B, N).

    Attributes:
      left: the rows (T, B, I).
      matrix: (I, N), or (N, I) where it is transposed.
      bias: (N,) or None.
      is_transposed: whether the transpose is meant.
      has_zeros: whether it is zero where the mask is False, and not just anything.
    """

    left: jax.Array
    matrix: jax.Array
    bias: jax.Array | None = None
    is_transposed: bool = dataclasses.field(default=False, metadata=_STATIC)
    has_zeros: bool = dataclasses.field(default=True, metadata=_STATIC)

    def numbers(self) -> tuple[int, ...]:
        """What the library is told."""
        depth, units = self.matrix.shape[:: -1 if self.is_transposed else 1]
        return 0, depth, units, self.is_transposed, self.has_zeros

    def operands(self) -> list[jax.Array | None]:
        """What it is given; None for what is not there."""
        return [self.left, self.matrix, self.bias]

    def shapes(self) -> tuple[tuple[int, ...]]:
        """The shapes of what it returns."""
        return ((*self.left.shape[:2], self.matrix.shape[0 if self.is_transposed else 1]),)

    def by_xla(self, recurrence: Recurrence, mask: jax.Array | None) -> tuple[jax.Array]:
        """The same without the library."""
        out = jnp.matmul(self.left, self.matrix.T if self.is_transposed else self.matrix)
        out = out if self.bias is None else out + self.bias
        return (out if mask is None else jnp.where(mask[..., None], out, 0),)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Outer:
    """The sum over all rows of the outer products of a and columns of b, and that of b.

    They are (M, N) and (N,).

    Attributes:
      left: a (T, B, M), or what stands after each step where there is a past.
      right: b (T, B, ...).
      past: what else tells the left sides, if they stand before each step.
      columns: the first one of b that is taken, and the one after the last; all by default.
    """

    left: jax.Array
    right: jax.Array
    past: Past | None = None
    columns: tuple[int, int] | None = dataclasses.field(default=None, metadata=_STATIC)

    def numbers(self) -> tuple[int, ...]:
        """As in `Times`."""
        begin, end = self._columns()
        return 1, self.left.shape[-1], end - begin, begin, self.right.shape[-1]

    def operands(self) -> list[jax.Array | None]:
        """As in `Times`."""
        first, initial, resets = (None,) * 3 if self.past is None else self.past
        return [first, initial, self.left, self.right, resets]

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """As in `Times`."""
        begin, end = self._columns()
        return (self.left.shape[-1], end - begin), (end - begin,)

    def by_xla(self, recurrence: Recurrence, mask: jax.Array | None) -> tuple[jax.Array, ...]:
        """As in `Times`."""
        a, b = self.sides(recurrence, mask)
        if mask is not None:
            a, b = (jnp.where(mask[..., None], x, 0) for x in (a, b))
        return jnp.einsum("tbm,tbn->mn", a, b), b.sum((0, 1))

    def sides(self, recurrence: Recurrence, mask: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        """a and the columns of b, with all masked rows."""
        columns = self.right[..., slice(*self._columns())]
        return before(recurrence, self.past, self.left, mask), columns

    def _columns(self):
        return (0, self.right.shape[-1]) if self.columns is None else self.columns


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Sums:
    """The sums of groups of columns over the batch: (W,) for each width W.

    Attributes:
      left: (B, N), one group after the other.
      widths: of the groups.
    """

    left: jax.Array
    widths: tuple[int, ...] = dataclasses.field(metadata=_STATIC)

    def numbers(self) -> tuple[int, ...]:
        """As in `Times`."""
        return 2, len(self.widths), *self.widths

    def operands(self) -> list[jax.Array | None]:
        """As in `Times`."""
        return [self.left]

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """As in `Times`."""
        return tuple((width,) for width in self.widths)

    def by_xla(self, recurrence: Recurrence, mask: jax.Array | None) -> tuple[jax.Array, ...]:
        """As in `Times`."""
        return tuple(jnp.split(self.left.sum(0), np.cumsum(self.widths)[:-1]))


def multiply(
    recurrence: Recurrence, mask: jax.Array | None, asked: Sequence[Times | Outer | Sums]
) -> list[tuple[jax.Array, ...]]:
    """What each of several products and sums returns, which share the threads and one call.

    Args:
      recurrence: whose direction tells which step comes first.
      mask: the rows that are real, True (T, B); None for all.
      asked: the products, of which all have as many rows, and the sums.
    """
    if not asked:
        return []

    @jax.custom_batching.custom_vmap
    def call(mask, asked):
        return _by_library(recurrence, mask, asked)

    @call.def_vmap
    def rule(size, is_mapped, mask, asked):
        def by_xla(mask, asked):
            return [one.by_xla(recurrence, mask) for one in asked]

        axes = jax.tree.map(lambda flag: 0 if flag else None, is_mapped)
        out = jax.vmap(by_xla, tuple(axes))(mask, asked)
        return out, jax.tree.map(lambda _: True, out)

    return call(mask, list(asked))


def _by_library(recurrence, mask, asked):
    like, batch = asked[0].left, asked[0].left.shape[-2]
    steps = next((len(one.left) for one in asked if not isinstance(one, Sums)), 0)
    mask = mask if steps else None  # which sums do not read
    types = [shape_like(like, shape, like.dtype) for one in asked for shape in one.shapes()]
    operands = [mask, *(x for one in asked for x in one.operands())]
    numbers = [len(asked), *(number for one in asked for number in one.numbers())]
    call: Any = jax.ffi.ffi_call("jaxrnn_products", types)
    nothing = jnp.zeros((0,), like.dtype)
    out = iter(call(
        *varying_like(like, [nothing if x is None else x for x in operands]),
        products=np.array(numbers, np.int64), steps=np.int64(steps), batch=np.int64(batch),
        instruction_set=instruction_set(recurrence), reverse=recurrence.reverse,
        is_double=like.dtype == np.float64,
    ))  # fmt: skip
    return [tuple(next(out) for _ in one.shapes()) for one in asked]
