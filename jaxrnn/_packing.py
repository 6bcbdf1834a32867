"""Sequences of many lengths in arrays of few shapes: packed into rows, or padded to buckets.

All but `segment_resets` run on the host, on NumPy arrays, before a batch goes to the device.
"""

import numbers
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._checks import check_size, describe

PADDING = -1  # the segment id of a step that belongs to no sequence


class Packed(NamedTuple):
    xs: np.ndarray  # (T, R, ...)
    segment_ids: np.ndarray  # (T, R), int32: the place of a sequence in the list; -1 in the padding
    mask: np.ndarray  # (T, R), bool


class Padded(NamedTuple):
    xs: np.ndarray  # (T, B, ...)
    mask: np.ndarray  # (T, B), bool


def segment_resets(segment_ids: jax.Array, previous: jax.Array | None = None) -> jax.Array:
    """Where segments begin: the `resets` of a packed sequence.

    The first step begins nothing unless `previous` says so: it goes on from the carry that it is
    given, which is the initial one for a new sequence, and that of the chunk before in a stream.

    Args:
      segment_ids: integers (T, ...), the segment of each step. A step of padding within a segment
        has the id of that segment.
      previous: integers (...), the ids at the last step of the chunk before.

    Returns:
      bool (T, ...): True where the id differs from that of the step before.

    Raises:
      ValueError, TypeError: `segment_ids` are not integers (T, ...), or `previous` does not fit
        them.
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
                f"`previous` must be one step like those of `segment_ids` {describe(segment_ids)}, "
                f"got {describe(previous)}. It is `segment_ids[-1]` of the chunk before."
            )
        before = previous[None]
    shifted = jnp.concatenate([before, segment_ids])[: len(segment_ids)]
    return shifted != segment_ids


def pack(sequences: Sequence[Any], length: int, *, num_rows: int | None = None) -> Packed:
    """Packs sequences one behind the other into rows, each into the first with room for it.

    With ``resets=segment_resets(segment_ids)`` a layer treats each as if it were alone. Sequences
    of the same lengths, such as inputs and targets, are packed alike.

    Args:
      sequences: arrays (T_i, ...), alike in all but their lengths.
      length: T, the steps of a row.
      num_rows: R; None means as many as it takes. Rows without sequences are all padding.

    Returns:
      `Packed` arrays, with zeros in the padding. `unpack` is the inverse.

    Raises:
      ValueError, TypeError: `sequences` are not alike, one is longer than `length`, or they need
        more than `num_rows` rows.
    """
    arrays = _check_sequences(sequences)
    check_size("length", length)
    places, needed = _first_fit([len(x) for x in arrays], length)
    if num_rows is not None:
        check_size("num_rows", num_rows)
        if needed > num_rows:
            raise ValueError(
                f"`num_rows` = {num_rows} rows of `length` = {length} steps do not hold these "
                f"{len(arrays)} sequences, which need {needed}. Give fewer of them at a time."
            )
        needed = num_rows
    xs = np.zeros((length, needed, *arrays[0].shape[1:]), arrays[0].dtype)
    segment_ids = np.full((length, needed), PADDING, np.int32)
    for i, (x, (row, start)) in enumerate(zip(arrays, places, strict=True)):
        xs[start : start + len(x), row] = x
        segment_ids[start : start + len(x), row] = i
    return Packed(xs, segment_ids, segment_ids != PADDING)


def unpack(ys: Any, segment_ids: Any, num_sequences: int) -> list[np.ndarray]:
    """The sequences that lie in packed rows: the inverse of `pack`.

    Args:
      ys: (T, R, ...), such as the outputs of a layer for packed inputs.
      segment_ids: (T, R), of `Packed`.
      num_sequences: how many were packed; one without steps comes back empty.

    Returns:
      Arrays (T_i, ...), in the order in which they were given to `pack`.

    Raises:
      ValueError, TypeError: `segment_ids` are not integers (T, R), or do not fit `ys` or
        `num_sequences`.
    """
    _check_ids("segment_ids", segment_ids, "(T, R)")
    check_size("num_sequences", num_sequences)
    ys, ids = np.asarray(ys), np.asarray(segment_ids)
    if ids.ndim != 2 or ys.shape[:2] != ids.shape:
        raise ValueError(
            f"`segment_ids` {ids.shape} must match the leading axes (T, R) of `ys` {ys.shape}. Are "
            "they those of the `Packed` arrays that `ys` were made from?"
        )
    if ids.size and not PADDING <= ids.min() <= ids.max() < num_sequences:
        raise ValueError(
            f"`segment_ids` must be from {PADDING} to {num_sequences - 1}, one less than "
            f"`num_sequences`, got values from {ids.min()} to {ids.max()}. Is that the number of "
            "sequences that were packed?"
        )
    ids, rows = ids.T.reshape(-1), ys.swapaxes(0, 1).reshape(ids.size, *ys.shape[2:])
    in_order = np.argsort(ids, kind="stable")
    ends = np.cumsum(np.bincount(ids - PADDING, minlength=num_sequences + 1))
    return np.split(rows[in_order], ends[:-1])[1:]


def bucket_length(length: int, *, smallest: int = 16) -> int:
    """The bucket of a sequence: the first of `smallest`, twice it, four times it, ... to hold it.

    A compiled program is for one length. Padded to buckets, lengths up to L need only about
    ``log2(L / smallest)`` programs.

    Args:
      length: the number of steps, 0 or more.
      smallest: the smallest bucket.

    Returns:
      The length of the bucket.

    Raises:
      ValueError, TypeError: `length` is no length, or `smallest` is not a positive integer.
    """
    check_size("smallest", smallest)
    if isinstance(length, bool) or not isinstance(length, numbers.Integral):
        raise TypeError(f"`length` must be an integer, got {describe(length)}.")
    if length < 0:
        raise ValueError(f"`length` must be 0 or more steps, got {length}.")
    times = -(-int(length) // int(smallest))  # rounded up
    return int(smallest) << max(0, times - 1).bit_length()


def pad_to_bucket(sequences: Sequence[Any], *, smallest: int = 16) -> Padded:
    """Pads a batch of sequences on the right, to the bucket of the longest.

    Args:
      sequences: B arrays (T_i, ...), alike in all but their lengths.
      smallest: the smallest bucket, as in `bucket_length`.

    Returns:
      `Padded` arrays, with zeros in the padding. Sequence i comes back as ``xs[:T_i, i]``.

    Raises:
      ValueError, TypeError: `sequences` are not alike, or `smallest` is not a positive integer.
    """
    arrays = _check_sequences(sequences)
    length = bucket_length(max(len(x) for x in arrays), smallest=smallest)
    xs = np.zeros((length, len(arrays), *arrays[0].shape[1:]), arrays[0].dtype)
    mask = np.zeros((length, len(arrays)), bool)
    for i, x in enumerate(arrays):
        xs[: len(x), i] = x
        mask[: len(x), i] = True
    return Padded(xs, mask)


def _first_fit(lengths, capacity):
    """The row and the start of each sequence, and the number of rows."""
    places, used = [], np.zeros(len(lengths), np.int64)  # no more rows than sequences
    for i, length in enumerate(lengths):
        if length > capacity:
            raise ValueError(
                f"`length` = {capacity} steps is too short for sequence {i}, which has {length}. "
                "Cut it into pieces, or give longer rows."
            )
        row = int(np.argmax(used + length <= capacity))
        places.append((row, int(used[row])))
        used[row] += length
    return places, max(1, int(np.count_nonzero(used)))


def _check_sequences(sequences):
    if not isinstance(sequences, (list, tuple)):
        raise TypeError(
            f"`sequences` must be a list of arrays (T_i, ...), got {describe(sequences)}."
        )
    if not sequences:
        raise ValueError("`sequences` must hold at least one array, got none.")
    for i, x in enumerate(sequences):
        if not hasattr(x, "shape") or not hasattr(x, "dtype"):
            raise TypeError(
                f"`sequences` must hold arrays (T_i, ...), got {describe(x)} as number {i}. "
                "Turn lists of numbers into arrays with `np.array`."
            )
        if x.ndim == 0:
            raise ValueError(
                f"`sequences` must hold arrays (T_i, ...), got no time axis in number {i}: "
                f"{describe(x)}."
            )
        if x.shape[1:] != sequences[0].shape[1:] or x.dtype != sequences[0].dtype:
            raise ValueError(
                f"`sequences` must be alike in all but their lengths (T_i, ...): number 0 is "
                f"{describe(sequences[0])}, number {i} is {describe(x)}."
            )
    return [np.asarray(x) for x in sequences]


def _check_ids(name, ids, axes):
    if not hasattr(ids, "dtype") or not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(f"`{name}` must be an array of integers {axes}, got {describe(ids)}.")
