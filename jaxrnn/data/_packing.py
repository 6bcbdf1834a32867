"""Packing: several sequences in each row of a batch, separated by segment ids."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrnn._core.checks import check_size
from jaxrnn.data._segments import check_ids
from jaxrnn.data._sequences import Sequences, as_sequences

PADDING = -1  # the segment id of a padding step


class Packed(NamedTuple):
    """Sequences packed into rows.

    Attributes:
      xs: (T, R, ...), zero in the padding; a tree of such arrays if the sequences are trees.
      segment_ids: int32 (T, R), the index of each step's sequence, -1 in the padding.
      mask: bool (T, R), True for real steps.
    """

    xs: Any
    segment_ids: np.ndarray
    mask: np.ndarray


def pack(sequences: Sequence[Any], length: int, *, num_rows: int | None = None) -> Packed:
    """Packs sequences into rows, each sequence into the first row that has room for it.

    Given ``resets=segment_resets(segment_ids)``, a layer processes each sequence independently.
    Sequences longer than a row need `pack_windows`.

    Args:
      sequences: a list of arrays (T_i, ...) that differ only in length. A sequence may also be a
        list of numbers, or a tree of arrays of one length, such as a tuple (inputs, targets).
      length: T, the number of steps in a row.
      num_rows: R, the number of rows. Extra rows are all padding. None means as few as needed.

    Returns:
      `Packed` arrays. `unpack` is the inverse.

    Raises:
      ValueError, TypeError: `sequences` differ in structure, feature shape or dtype, one is longer
        than `length`, or they need more than `num_rows` rows.

    Examples:
      >>> packed = jaxrnn.data.pack([[1, 2, 3], [4, 5, 6], [7]], length=4)
      >>> packed.xs.T.tolist()  # xs: (T, R)
      [[1, 2, 3, 7], [4, 5, 6, 0]]
      >>> packed.segment_ids.T.tolist()
      [[0, 0, 0, 2], [1, 1, 1, -1]]
    """
    given = as_sequences(sequences)
    check_size("length", length)
    places, needed = _first_fit(given.lengths, length)
    if num_rows is not None:
        check_size("num_rows", num_rows)
        if needed > num_rows:
            raise ValueError(
                f"`num_rows` = {num_rows} rows of `length` = {length} steps cannot hold these "
                f"{len(places)} sequences, which need {needed}. Pack fewer sequences at a time."
            )
        needed = num_rows
    return packed_at(given, places, (length, needed))


def packed_at(
    given: Sequences, places: Sequence[tuple[int, int]], shape: tuple[int, int]
) -> Packed:
    """`Packed` arrays of a given shape (T, R), with each sequence at its (row, start)."""
    segment_ids = np.full(shape, PADDING, np.int32)
    for i, (length, (row, start)) in enumerate(zip(given.lengths, places, strict=True)):
        segment_ids[start : start + length, row] = i
    return Packed(given.placed(places, shape), segment_ids, segment_ids != PADDING)


def unpack(ys: Any, segment_ids: Any, num_sequences: int) -> list[Any]:
    """Splits packed rows into sequences: the inverse of `pack` and of `pack_windows`.

    Args:
      ys: (T, R, ...), for example the outputs of a layer for packed inputs, or a tree of them.
      segment_ids: (T, R), from `Packed`.
      num_sequences: the number of sequences that were packed, including empty ones.

    Returns:
      Arrays (T_i, ...), or trees of them, in the order in which they were packed.

    Raises:
      ValueError, TypeError: `segment_ids` are not integers (T, R), or do not match `ys` or
        `num_sequences`.

    Examples:
      >>> packed = jaxrnn.data.pack([[1, 2, 3], [4, 5, 6], [7]], length=4)
      >>> doubled = jaxrnn.data.unpack(2 * packed.xs, packed.segment_ids, 3)
      >>> [sequence.tolist() for sequence in doubled]
      [[2, 4, 6], [8, 10, 12], [14]]
    """
    check_ids("segment_ids", segment_ids, "(T, R)")
    check_size("num_sequences", num_sequences)
    ids = np.asarray(segment_ids)
    leaves, structure = jax.tree.flatten(ys)
    leaves = [np.asarray(y) for y in leaves]
    _check_rows(leaves, ids, num_sequences)
    ids = ids.T.reshape(-1).astype(np.int64)  # in 8 bits, id 255 plus 1 would be 0
    in_order = np.argsort(ids, kind="stable")
    ends = np.cumsum(np.bincount(ids - PADDING, minlength=num_sequences + 1))

    def split(y):
        rows = y.swapaxes(0, 1).reshape(ids.size, *y.shape[2:])
        return np.split(rows[in_order], ends[:-1])[1:]

    return [structure.unflatten(parts) for parts in zip(*map(split, leaves), strict=True)]


def _check_rows(leaves, ids, num_sequences):
    if not leaves:
        raise ValueError("`ys` holds no array: expected (T, R, ...) or a tree of such arrays.")
    for y in leaves:
        if ids.ndim != 2 or y.shape[:2] != ids.shape:
            raise ValueError(
                f"`segment_ids` {ids.shape} must match the leading axes (T, R) of `ys` {y.shape}. "
                "Do they come from the same `Packed` arrays?"
            )
    if ids.size and not PADDING <= ids.min() <= ids.max() < num_sequences:
        raise ValueError(
            f"`segment_ids` must be from {PADDING} to {num_sequences - 1}, one less than "
            f"`num_sequences`, got values from {ids.min()} to {ids.max()}. Is `num_sequences` the "
            "number of sequences that were packed?"
        )


def _first_fit(lengths, capacity):
    """The (row, start) of each sequence, and the number of rows."""
    places, used = [], np.zeros(len(lengths), np.int64)  # never more rows than sequences
    for i, length in enumerate(lengths):
        if length > capacity:
            raise ValueError(
                f"`length` = {capacity} steps is too short for sequence {i}, which has {length}. "
                "Use longer rows, or `pack_windows`, whose rows are as long as they need to be."
            )
        row = int(np.argmax(used + length <= capacity))
        places.append((row, int(used[row])))
        used[row] += length
    return places, max(1, int(np.count_nonzero(used)))
