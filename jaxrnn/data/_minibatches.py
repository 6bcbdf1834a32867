"""Minibatches of variable-length sequences: shuffled, and grouped by length."""

import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import check_array, check_bool, check_size, describe
from jaxrnn.data._buckets import pad_to_bucket
from jaxrnn.data._grouping import FILLER, cut, grouped, permutations
from jaxrnn.data._sequences import Sequences, as_sequences


class Minibatch(NamedTuple):
    """Sequences, or pieces of them, padded on the right to the length of a bucket.

    Attributes:
      xs: (T, B, ...), zero in the padding; a tree of such arrays if the sequences are trees.
      mask: bool (T, B), True for real steps.
      indices: int32 (B,), which sequence each row comes from; -1 for a row of padding alone.
      starts: int32 (B,), the step of its sequence at which each row begins.
      labels: the labels (B, ...) of these sequences, zero in a row of padding.
    """

    xs: Any
    mask: np.ndarray
    indices: np.ndarray
    starts: np.ndarray
    labels: Any


class Minibatches:
    """The minibatches of one epoch, built lazily.

    They have a length, an index and slices: ``batches[n:]`` resumes after n steps.
    """

    def __init__(self, make: Callable[[np.ndarray], Minibatch], rows: np.ndarray):
        self._make, self._rows = make, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int | slice) -> "Minibatch | Minibatches":
        if isinstance(index, slice):
            return Minibatches(self._make, self._rows[index])
        return self._make(self._rows[operator.index(index)])

    def __iter__(self) -> Iterator[Minibatch]:
        return map(self._make, self._rows)


def minibatches(
    sequences: Sequence[Any],
    batch_size: int,
    *,
    labels: Any = None,
    seed: int | None = None,
    epoch: int = 0,
    max_length: int | None = None,
    smallest: int = 16,
    drop_remainder: bool = False,
) -> Minibatches:
    """Minibatches of variable-length sequences: one epoch, shuffled and grouped by length.

    Every minibatch has `batch_size` rows, padded to the bucket of the longest, so that a training
    step compiles once per bucket. Sequences of a bucket are mixed at random, and the minibatches
    come in random order. The same arguments give the same minibatches.

    A sequence longer than `smallest` fills more than half of its bucket. Only a minibatch that
    takes sequences from two buckets pads the shorter ones further. If `batch_size` does not divide
    the number of sequences, a minibatch of the shortest ones has rows of padding alone, with an
    all-False mask and index -1.

    Args:
      sequences: a list of N arrays (T_i, ...) that differ only in length. A sequence may also be a
        list of numbers, or a tree of arrays of one length, such as a tuple (inputs, targets).
      batch_size: B, the number of rows in a minibatch.
      labels: what a sequence has once, without a time axis, such as its class or its context: an
        array (N, ...) or a tree of them. None for an absent part.
      seed: an integer that determines the order. None, for evaluation, keeps the order within each
        bucket, from the shortest bucket to the longest.
      epoch: an integer of 0 or more. Each epoch of a seed has another order.
      max_length: cut longer sequences into pieces of this many steps. Every piece is a row of its
        own: it starts from the initial carry, and has the labels of its sequence. None cuts
        nothing. Use `pack_windows` if the carry must pass from piece to piece.
      smallest: the smallest bucket, as in `bucket_length`.
      drop_remainder: leave out some sequences at random, in place of rows of padding.

    Returns:
      `Minibatches`, to iterate over, or to index and slice like a list.

    Raises:
      ValueError, TypeError: `sequences` differ in structure, feature shape or dtype; `labels` are
        not arrays (N, ...); a size is not a positive integer; `seed` or `epoch` is not an integer
        of 0 or more; or `drop_remainder` leaves nothing.

    Examples:
      >>> sequences = [np.ones((n, 2), np.float32) for n in (3, 40, 9, 30)]
      >>> batches = jaxrnn.data.minibatches(sequences, 2, labels=np.arange(4))
      >>> [(batch.xs.shape, batch.labels.tolist()) for batch in batches]
      [((16, 2, 2), [0, 2]), ((64, 2, 2), [3, 1])]
      >>> shuffled = jaxrnn.data.minibatches(sequences, 2, seed=0, epoch=1)
      >>> len(shuffled), len(shuffled[1:])  # to go on after one step
      (2, 1)
    """
    given = as_sequences(sequences)
    labels = _as_labels(labels, len(given.lengths))
    check_size("batch_size", batch_size)
    check_bool("drop_remainder", drop_remainder)
    if max_length is not None:
        check_size("max_length", max_length)
    pieces = cut(given.lengths, max_length or max(1, *given.lengths))
    permutation = permutations(seed, epoch)
    order = permutation(len(pieces))
    if drop_remainder:
        order = _whole_batches(order, batch_size)
    rows = grouped(order, pieces[:, 2], batch_size, smallest)
    make = functools.partial(_minibatch, given, labels, pieces, smallest)
    return Minibatches(make, rows[permutation(len(rows))])


def _as_labels(labels, count):
    """A tree of NumPy arrays (N, ...), checked."""
    for leaf in jax.tree.leaves(labels):
        check_array("labels", leaf)
        if leaf.shape[:1] != (count,):
            raise ValueError(
                f"`labels` must be (N, ...), with one entry for each of the {count} `sequences`, "
                f"got {describe(leaf)}. What has a time axis belongs in the sequences."
            )
        if not (jnp.issubdtype(leaf.dtype, jnp.number) or leaf.dtype == np.bool_):
            raise TypeError(f"`labels` must be numbers or bools, got {describe(leaf)}.")
    return jax.tree.map(np.asarray, labels)


def _whole_batches(order, batch_size):
    if len(order) < batch_size:
        raise ValueError(
            f"`drop_remainder` leaves nothing: `batch_size` is {batch_size}, and there are "
            f"{len(order)} rows. Use smaller minibatches, or keep the remainder."
        )
    return order[: len(order) - len(order) % batch_size]


def _minibatch(
    given: Sequences, labels: Any, pieces: np.ndarray, smallest: int, rows: np.ndarray
) -> Minibatch:
    """The minibatch of the pieces `rows` (B,)."""
    is_piece = rows != FILLER
    chosen = np.where(is_piece[:, None], pieces[rows], 0)
    parts = [
        given.as_tree([column[i][start : start + length] for column in given.columns])
        for i, start, length in chosen
    ]
    padded = pad_to_bucket(parts, smallest=smallest)

    def entries(leaf):
        taken = leaf[chosen[:, 0]]
        taken[~is_piece] = 0
        return taken

    indices = np.where(is_piece, chosen[:, 0], FILLER).astype(np.int32)
    starts = chosen[:, 1].astype(np.int32)
    return Minibatch(*padded, indices, starts, jax.tree.map(entries, labels))
