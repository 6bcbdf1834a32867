"""Batches padded to a few lengths, so that few programs are compiled."""

import numbers
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxrnn._core.checks import check_size, describe
from jaxrnn.data._sequences import as_sequences


class Padded(NamedTuple):
    """A batch of sequences, padded on the right to a common length.

    Attributes:
      xs: (T, B, ...), zero in the padding; a tree of such arrays if the sequences are trees.
      mask: bool (T, B), True for real steps.
    """

    xs: Any
    mask: np.ndarray


def bucket_length(length: int, *, smallest: int = 16) -> int:
    """The smallest bucket that holds `length` steps; buckets are `smallest` times powers of 2.

    JAX compiles a program for each length. With buckets, lengths up to L need only about
    ``log2(L / smallest)`` programs.

    Args:
      length: the number of steps, 0 or more.
      smallest: the smallest bucket.

    Returns:
      The length of the bucket.

    Raises:
      ValueError, TypeError: `length` is not a non-negative integer, or `smallest` is not a positive
        integer.

    Examples:
      >>> [jaxrnn.data.bucket_length(n) for n in (0, 16, 17, 100)]
      [16, 16, 32, 128]
      >>> jaxrnn.data.bucket_length(100, smallest=25)
      100
    """
    check_size("smallest", smallest)
    if isinstance(length, bool) or not isinstance(length, numbers.Integral):
        raise TypeError(f"`length` must be an integer, got {describe(length)}.")
    if length < 0:
        raise ValueError(f"`length` must be 0 or more steps, got {length}.")
    times = -(-int(length) // int(smallest))  # rounded up
    return int(smallest) << max(0, times - 1).bit_length()


def pad_to_bucket(sequences: Sequence[Any], *, smallest: int = 16) -> Padded:
    """Pads a batch of sequences on the right to the bucket of the longest one.

    Args:
      sequences: a list of B arrays (T_i, ...) that differ only in length. A sequence may also be a
        list of numbers, or a tree of arrays of one length, such as a tuple (inputs, targets).
      smallest: the smallest bucket, as in `bucket_length`.

    Returns:
      `Padded` arrays. Sequence i is ``xs[:T_i, i]``.

    Raises:
      ValueError, TypeError: `sequences` differ in structure, feature shape or dtype, or `smallest`
        is not a positive integer.

    Examples:
      >>> batch = jaxrnn.data.pad_to_bucket([[1, 2, 3], [4]], smallest=2)
      >>> batch.xs.T.tolist()  # xs: (T, B)
      [[1, 2, 3, 0], [4, 0, 0, 0]]
      >>> batch.mask.sum(0).tolist()
      [3, 1]
    """
    given = as_sequences(sequences)
    length = bucket_length(max(given.lengths), smallest=smallest)
    mask = np.arange(length)[:, None] < np.array(given.lengths)
    return Padded(given.placed([(i, 0) for i in range(mask.shape[1])], mask.shape), mask)
