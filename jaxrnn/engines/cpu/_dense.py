"""Products over all rows of a sequence in the shared library, which leave out masked rows."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.loop import shape_like, varying_like
from jaxrnn.engines.cpu._library import INSTRUCTION_SETS
from jaxrnn.engines.kernel._operands import Recurrence


class Past(NamedTuple):
    """What stands before the steps of an array that holds what stands after each.

    Attributes:
      first: (B, M), before the first step.
      initial: (B, M), what resets restore; None without resets.
      resets: True where they do, (T, B) or None.
    """

    first: jax.Array
    initial: jax.Array | None
    resets: jax.Array | None


def times_matrix(
    recurrence: Recurrence,
    rows: jax.Array,
    matrix: jax.Array,
    bias: jax.Array | None,
    mask: jax.Array | None,
    *,
    is_transposed: bool = False,
    has_zeros: bool = True,
) -> jax.Array:
    """The rows (T, B, I) times a matrix (I, N), or its transpose, plus a bias (N,).

    Zero where the mask is False, or anything without `has_zeros`.
    """

    @jax.custom_batching.custom_vmap
    def call(rows, matrix, bias, mask):
        units = matrix.shape[0 if is_transposed else 1]
        product: Any = jax.ffi.ffi_call(
            "jaxrnn_rows", shape_like(rows, (*rows.shape[:2], units), rows.dtype)
        )
        operands = varying_like(rows, (rows, matrix, bias, mask))
        return product(
            *operands, instruction_set=_instruction_set(recurrence),
            is_transposed=is_transposed, has_zeros=has_zeros,
        )  # fmt: skip

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
    past: Past | None,
    a: jax.Array,
    b: jax.Array,
    mask: jax.Array | None,
    columns: slice = slice(None),
) -> tuple[jax.Array, jax.Array]:
    """The sum over all rows of the outer products of a (T, B, M) and b (T, B, N), and that of b.

    Args:
      recurrence: whose direction tells which step comes first.
      past: where the left sides stand before the steps of `a`; None where they are those of `a`.
      a: the left sides, or what stands after each step.
      b: the right sides.
      mask: the rows to add up, True (T, B); None for all.
      columns: those of `b` that are taken, N in all.

    Returns:
      (M, N) and (N,).
    """

    begin, end, _ = columns.indices(b.shape[-1])

    @jax.custom_batching.custom_vmap
    def call(first, initial, a, b, mask, resets):
        shapes = (a.shape[-1], end - begin), (end - begin,)
        outer: Any = jax.ffi.ffi_call(
            "jaxrnn_outer", [shape_like(b, shape, b.dtype) for shape in shapes]
        )
        operands = varying_like(b, (first, initial, a, b, mask, resets))
        return tuple(outer(
            *operands, instruction_set=_instruction_set(recurrence), begin=np.int64(begin),
            reverse=recurrence.reverse,
        ))  # fmt: skip

    @call.def_vmap
    def rule(size, is_mapped, *args):
        def by_xla(first, initial, a, b, mask, resets):
            first, initial, mask, resets = map(_if_there, (first, initial, mask, resets))
            past = None if first is None else Past(first, initial, resets)
            a, b = before(recurrence, past, a, mask), b[..., begin:end]
            if mask is not None:
                a, b = (jnp.where(mask[..., None], x, 0) for x in (a, b))
            return jnp.einsum("tbm,tbn->mn", a, b), b.sum((0, 1))

        axes = [0 if flag else None for flag in is_mapped]
        return jax.vmap(by_xla, axes)(*args), (True, True)

    first, initial, resets = (None,) * 3 if past is None else past
    states = (_or_nothing(x, b.dtype) for x in (first, initial))
    mask, resets = (_or_nothing(x, bool) for x in (mask, resets))
    return call(*states, a, b, mask, resets)


def before(
    recurrence: Recurrence, past: Past | None, a: jax.Array, mask: jax.Array | None
) -> jax.Array:
    """What stands before each step, from what stands after each real one."""
    if past is None:
        return a
    if mask is None and past.resets is None:
        rows = (a[1:], past.first[None]) if recurrence.reverse else (past.first[None], a[:-1])
        return jnp.concatenate(rows)

    def step(last, at):
        after, is_real, is_reset = at
        here = last if is_reset is None else jnp.where(is_reset[:, None], past.initial, last)
        return (after if is_real is None else jnp.where(is_real[:, None], after, last)), here

    flags = a, mask, past.resets
    return jax.lax.scan(step, past.first, flags, reverse=recurrence.reverse)[1]


def _or_nothing(array, dtype):
    return jnp.zeros((0,), dtype) if array is None else array


def _if_there(array):
    return array if array.ndim > 1 else None


def _instruction_set(recurrence):
    chosen = recurrence.variant
    return np.int64(-1 if chosen is None else INSTRUCTION_SETS.index(chosen))
