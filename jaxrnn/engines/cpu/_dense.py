"""Products over all rows of a sequence in the shared library, which leave out masked rows."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.loop import shape_like, varying_like
from jaxrnn.engines.cpu._library import INSTRUCTION_SETS
from jaxrnn.engines.kernel._operands import Recurrence


def times_matrix(
    recurrence: Recurrence,
    rows: jax.Array,
    matrix: jax.Array,
    bias: jax.Array | None,
    mask: jax.Array | None,
    *,
    is_transposed: bool = False,
) -> jax.Array:
    """The rows (T, B, I) times a matrix (I, N), or its transpose, plus a bias (N,).

    Zero where the mask is False.
    """

    @jax.custom_batching.custom_vmap
    def call(rows, matrix, bias, mask):
        units = matrix.shape[0 if is_transposed else 1]
        product: Any = jax.ffi.ffi_call(
            "jaxrnn_rows", shape_like(rows, (*rows.shape[:2], units), rows.dtype)
        )
        operands = varying_like(rows, (rows, matrix, bias, mask))
        chosen = _instruction_set(recurrence)
        return product(*operands, instruction_set=chosen, is_transposed=is_transposed)

    @call.def_vmap
    def rule(size, is_mapped, rows, matrix, bias, mask):
        def by_xla(rows, matrix, bias, mask):
            out = jnp.matmul(rows, matrix.T if is_transposed else matrix)
            out = out + bias.reshape(1, 1, -1) if bias.size else out
            return out if mask.ndim == 1 else jnp.where(mask[..., None], out, 0)

        axes = [0 if flag else None for flag in is_mapped]
        return jax.vmap(by_xla, axes)(rows, matrix, bias, mask), True

    return call(rows, matrix, _or_nothing(bias, rows.dtype), _or_nothing(mask, bool))


def outer_products(
    recurrence: Recurrence,
    first: jax.Array | None,
    a: jax.Array,
    b: jax.Array,
    mask: jax.Array | None,
    columns: slice = slice(None),
) -> tuple[jax.Array, jax.Array]:
    """The sum over all rows of the outer products of a (T, B, M) and b (T, B, N), and that of b.

    Args:
      recurrence: whose direction tells which step comes first.
      first: (B, M), what stands before `a`, whose last row is left out; None where `a` has it.
      a: the left sides.
      b: the right sides.
      mask: the rows to add up, True (T, B); None for all. Only without `first`.
      columns: those of `b` that are taken, N in all.

    Returns:
      (M, N) and (N,).
    """

    begin, end, _ = columns.indices(b.shape[-1])

    @jax.custom_batching.custom_vmap
    def call(first, a, b, mask):
        shapes = (a.shape[-1], end - begin), (end - begin,)
        outer: Any = jax.ffi.ffi_call(
            "jaxrnn_outer", [shape_like(b, shape, b.dtype) for shape in shapes]
        )
        operands = varying_like(b, (first, a, b, mask))
        return tuple(outer(
            *operands, instruction_set=_instruction_set(recurrence), begin=np.int64(begin),
            reverse=recurrence.reverse,
        ))  # fmt: skip

    @call.def_vmap
    def rule(size, is_mapped, first, a, b, mask):
        def by_xla(first, a, b, mask):
            a, b = before(recurrence, first if first.ndim > 1 else None, a), b[..., begin:end]
            if mask.ndim > 1:
                a, b = (jnp.where(mask[..., None], x, 0) for x in (a, b))
            return a.reshape(-1, a.shape[-1]).T @ b.reshape(-1, b.shape[-1]), b.sum((0, 1))

        axes = [0 if flag else None for flag in is_mapped]
        return jax.vmap(by_xla, axes)(first, a, b, mask), (True, True)

    return call(_or_nothing(first, b.dtype), a, b, _or_nothing(mask, bool))


def before(recurrence: Recurrence, first: jax.Array | None, a: jax.Array) -> jax.Array:
    """What stands before each step, from `first` and from what stands after each."""
    if first is None:
        return a
    rows = (a[1:], first[None]) if recurrence.reverse else (first[None], a[:-1])
    return jnp.concatenate(rows)


def _or_nothing(array, dtype):
    return jnp.zeros((0,), dtype) if array is None else array


def _instruction_set(recurrence):
    chosen = recurrence.variant
    return np.int64(-1 if chosen is None else INSTRUCTION_SETS.index(chosen))
