"""Packing: several sequences in each row of a batch, separated by segment ids."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import check_size, describe
from jaxrnn.data._sequences import check_sequences

PADDING = -1  # the segment id of a padding step


class Packed(NamedTuple):
    """Sequences packed into rows.

    Attributes:
      xs: (T, R, ...), zero in the padding.
      segment_ids: int32 (T, R), the index of each step's sequence, -1 in the padding.
      mask: bool (T, R), True for real steps.
    """

    xs: np.ndarray
    segment_ids: np.ndarray
    mask: np.ndarray


def segment_resets(segment_ids: jax.Array, previous: jax.Array | None = None) -> jax.Array:
    """The `resets` of a packed batch: True at the first step of each segment.

    Without `previous` the first step is not a reset, so a layer starts from the carry it is given:
    the initial carry for a new batch, or the carry of the previous chunk in a stream.

    Args:
      segment_ids: integers (T, ...), the segment of each step. Padding inside a segment must have
        the id of the segment.
      previous: integers (...), the segment ids of the last step of the previous chunk.

    Returns:
      bool (T, ...), True where the id differs from the id of the step before.

    Raises:
      ValueError, TypeError: `segment_ids` are not integers (T, ...), or the shape or dtype of
        `previous` does not match them.
    """
    _check_ids("segment_ids", segment_ids, "(T, ...)")
    if segment_ids.ndim == 0:
        raise ValueError("`segment_ids` needs a time axis: expected (T, ...), got ().")
    if previous is None:
        before = segment_ids[:1]
    else:
        _check_ids("previous", previous, "(...)")
        if previous.shape != segment_ids.shape[1:] or previous.dtype != segment_ids.dtype:
            raise ValueError(
                f"`previous` must be one step like `segment_ids[0]`, where `segment_ids` is "
                f"{describe(segment_ids)}, got {describe(previous)}. Pass `segment_ids[-1]` of the "
                "previous chunk."
            )
        before = previous[None]
    shifted = jnp.concatenate([before, segment_ids])[: len(segment_ids)]
    return shifted != segment_ids


def pack(sequences: Sequence[Any], length: int, *, num_rows: int | None = None) -> Packed:
    """Packs sequences into rows, each sequence into the first row that has room for it.

    Given ``resets=segment_resets(segment_ids)``, a layer processes each sequence independently.
    The packing depends only on the lengths, so inputs and targets of equal lengths line up.

    Args:
      sequences: a list of arrays (T_i, ...) that differ only in length.
      length: T, the number of steps in a row.
      num_rows: R, the number of rows. Extra rows are all padding. None means as few as needed.

    Returns:
      `Packed` arrays. `unpack` is the inverse.

    Raises:
      ValueError, TypeError: `sequences` differ in feature shape or dtype, one is longer than
        `length`, or they need more than `num_rows` rows.
    """
    arrays = check_sequences(sequences)
    check_size("length", length)
    places, needed = _first_fit([len(x) for x in arrays], length)
    if num_rows is not None:
        check_size("num_rows", num_rows)
        if needed > num_rows:
            raise ValueError(
                f"`num_rows` = {num_rows} rows of `length` = {length} steps cannot hold these "
                f"{len(arrays)} sequences, which need {needed}. Pack fewer sequences at a time."
            )
        needed = num_rows
    xs = np.zeros((length, needed, *arrays[0].shape[1:]), arrays[0].dtype)
    segment_ids = np.full((length, needed), PADDING, np.int32)
    for i, (x, (row, start)) in enumerate(zip(arrays, places, strict=True)):
        xs[start : start + len(x), row] = x
        segment_ids[start : start + len(x), row] = i
    return Packed(xs, segment_ids, segment_ids != PADDING)


def unpack(ys: Any, segment_ids: Any, num_sequences: int) -> list[np.ndarray]:
    """Splits packed rows into sequences: the inverse of `pack`.

    Args:
      ys: (T, R, ...), for example the outputs of a layer for packed inputs.
      segment_ids: (T, R), from `Packed`.
      num_sequences: the number of sequences that were packed, including empty ones.

    Returns:
      Arrays (T_i, ...), in the order in which they were packed.

    Raises:
      ValueError, TypeError: `segment_ids` are not integers (T, R), or do not match `ys` or
        `num_sequences`.
    """
    _check_ids("segment_ids", segment_ids, "(T, R)")
    check_size("num_sequences", num_sequences)
    ys, ids = np.asarray(ys), np.asarray(segment_ids)
    if ids.ndim != 2 or ys.shape[:2] != ids.shape:
        raise ValueError(
            f"`segment_ids` {ids.shape} must match the leading axes (T, R) of `ys` {ys.shape}. Do "
            "they come from the same `Packed` arrays?"
        )
    if ids.size and not PADDING <= ids.min() <= ids.max() < num_sequences:
        raise ValueError(
            f"`segment_ids` must be from {PADDING} to {num_sequences - 1}, one less than "
            f"`num_sequences`, got values from {ids.min()} to {ids.max()}. Is `num_sequences` the "
            "number of sequences that were packed?"
        )
    ids, rows = ids.T.reshape(-1), ys.swapaxes(0, 1).reshape(ids.size, *ys.shape[2:])
    in_order = np.argsort(ids, kind="stable")
    ends = np.cumsum(np.bincount(ids - PADDING, minlength=num_sequences + 1))
    return np.split(rows[in_order], ends[:-1])[1:]


def _first_fit(lengths, capacity):
    """The (row, start) of each sequence, and the number of rows."""
    places, used = [], np.zeros(len(lengths), np.int64)  # never more rows than sequences
    for i, length in enumerate(lengths):
        if length > capacity:
            raise ValueError(
                f"`length` = {capacity} steps is too short for sequence {i}, which has {length}. "
                "Split the sequence, or use longer rows."
            )
        row = int(np.argmax(used + length <= capacity))
        places.append((row, int(used[row])))
        used[row] += length
    return places, max(1, int(np.count_nonzero(used)))


def _check_ids(name, ids, axes):
    if not hasattr(ids, "dtype") or not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(f"`{name}` must be an array of integers {axes}, got {describe(ids)}.")
