"""Rows of several windows, for sequences longer than one training step sees."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxrnn._core.checks import check_size
from jaxrnn.data._packing import Packed, packed_at
from jaxrnn.data._sequences import as_sequences


def pack_windows(sequences: Sequence[Any], window: int, num_rows: int) -> Packed:
    """Packs sequences of any length into rows of whole windows, for truncated backpropagation.

    Each sequence goes, in one piece, to the row with the fewest steps so far. The rows are then
    trained window by window, in order, and the carry passes from each window to the next, in which
    a sequence may go on: `jaxrnn.training.train_windows` does this for ``packed.xs``,
    ``packed.mask`` and ``segment_resets(packed.segment_ids)``, which is True where a sequence
    begins after another one. Window k is ``packed.xs[k * window : (k + 1) * window]``.

    Args:
      sequences: a list of arrays (T_i, ...) that differ only in length. A sequence may also be a
        list of numbers, or a tree of arrays of one length, such as a tuple (inputs, targets).
      window: the number of steps in a window.
      num_rows: R, the number of rows: the batch of a training step.

    Returns:
      `Packed` arrays. T is the smallest multiple of `window` that holds the longest row. `unpack`
      is the inverse.

    Raises:
      ValueError, TypeError: `sequences` differ in structure, feature shape or dtype, or `window` or
        `num_rows` is not a positive integer.

    Examples:
      >>> packed = jaxrnn.data.pack_windows([[1, 2, 3], [4, 5], [6, 7]], window=2, num_rows=2)
      >>> packed.xs.T.tolist()  # xs: (T, R), in two windows
      [[1, 2, 3, 0], [4, 5, 6, 7]]
      >>> packed.segment_ids.T.tolist()
      [[0, 0, 0, -1], [1, 1, 2, 2]]
    """
    given = as_sequences(sequences)
    check_size("window", window)
    check_size("num_rows", num_rows)
    places, used = [], np.zeros(num_rows, np.int64)
    for length in given.lengths:
        row = int(np.argmin(used))
        places.append((row, int(used[row])))
        used[row] += length
    num_windows = max(1, -(-int(used.max()) // int(window)))  # rounded up
    return packed_at(given, places, (num_windows * int(window), int(num_rows)))
