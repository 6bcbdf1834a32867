"""Which sequences share a minibatch: cut into pieces, shuffled, and grouped by length."""

from collections.abc import Callable, Sequence

import numpy as np

from jaxrnn._core.checks import check_count
from jaxrnn.data._buckets import bucket_length

FILLER = -1  # in place of a piece, in a row that has none


def cut(lengths: Sequence[int], max_length: int) -> np.ndarray:
    """(sequence, start, length) of each piece, integers (M, 3). An empty sequence is one piece."""
    return np.array(
        [
            (i, start, min(max_length, length - start))
            for i, length in enumerate(lengths)
            for start in range(0, max(length, 1), max_length)
        ]
    )


def permutations(seed: int | None, epoch: int) -> Callable[[int], np.ndarray]:
    """A function that draws a permutation of a given size. With None as `seed` it is the identity.

    NumPy keeps the numbers of a bit generator the same in all its versions, but not its
    permutations, so they are made here.
    """
    check_count("epoch", epoch)
    if seed is None:
        return np.arange
    check_count("seed", seed)
    bits = np.random.PCG64(np.random.SeedSequence(int(seed), spawn_key=(int(epoch),)))
    return lambda size: np.argsort(bits.random_raw(size), kind="stable")


def grouped(order: np.ndarray, lengths: np.ndarray, batch_size: int, smallest: int) -> np.ndarray:
    """The pieces of each minibatch, integers (minibatches, B): `order`, sorted by bucket."""
    bucket_of = {int(n): bucket_length(int(n), smallest=smallest) for n in np.unique(lengths)}
    buckets = np.array([bucket_of[int(n)] for n in lengths[order]])
    order = order[np.argsort(buckets, kind="stable")]
    # Padding rows beside the shortest pieces cost the fewest steps.
    rest = len(order) % batch_size
    filler = np.full(-len(order) % batch_size, FILLER)
    return np.concatenate([order[:rest], filler, order[rest:]]).reshape(-1, batch_size)
