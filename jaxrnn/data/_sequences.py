"""Lists of variable-length sequences: their checks, and their places in a batch."""

import numbers
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import check_array, describe


class Sequences(NamedTuple):
    """Sequences that differ only in length.

    Attributes:
      columns: for each leaf of their tree, one array (T_i, ...) per sequence.
      lengths: T_i, the number of steps of each.
      as_tree: makes the tree from one array per leaf.
    """

    columns: list[list[np.ndarray]]
    lengths: list[int]
    as_tree: Callable[[list], Any]

    def placed(self, places: Sequence[tuple[int, int]], shape: tuple[int, int]) -> Any:
        """The tree of arrays (T, R, ...) with each sequence at its (row, start), zero elsewhere."""
        return self.as_tree([_placed(column, places, shape) for column in self.columns])


def _placed(arrays, places, shape):
    batch = np.zeros((*shape, *arrays[0].shape[1:]), arrays[0].dtype)
    for x, (row, start) in zip(arrays, places, strict=True):
        batch[start : start + len(x), row] = x
    return batch


def as_sequences(sequences: Sequence[Any]) -> Sequences:
    """`sequences` as NumPy arrays. Raises unless they differ only in length."""
    if not isinstance(sequences, (list, tuple)):
        raise TypeError(
            f"`sequences` must be a list of arrays (T_i, ...), got {describe(sequences)}."
        )
    if not sequences:
        raise ValueError("`sequences` must hold at least one array, got none.")
    trees = [jax.tree.flatten(x, is_leaf=lambda leaf: isinstance(leaf, list)) for x in sequences]
    structure = trees[0][1]
    for i, (_, other) in enumerate(trees):
        if other != structure:
            raise ValueError(
                "`sequences` must be alike: number 0 is a tree of arrays "
                f"{structure}, number {i} is {other}."
            )
    if structure.num_leaves == 0:
        raise ValueError(f"`sequences` must hold arrays (T_i, ...), got {sequences[0]!r}.")
    rows = [[_as_array(i, leaf) for leaf in leaves] for i, (leaves, _) in enumerate(trees)]
    columns = [_alike(column) for column in zip(*rows, strict=True)]
    lengths = [_length(i, arrays) for i, arrays in enumerate(zip(*columns, strict=True))]
    return Sequences(columns, lengths, structure.unflatten)


def _as_array(i, leaf):
    """The leaf as an array; None for an empty list, which takes the dtype of the others."""
    if isinstance(leaf, list):
        if not all(isinstance(x, (numbers.Number, np.bool_)) for x in leaf):
            raise TypeError(
                f"`sequences` must hold arrays (T_i, ...) or lists of numbers, got a list of other "
                f"things as number {i}. Convert it with `np.array`. For inputs and targets in one "
                "call, make each sequence a tuple (inputs, targets)."
            )
        if not leaf:
            return None
        leaf = np.array(leaf)
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        raise TypeError(
            f"`sequences` must hold arrays (T_i, ...), lists of numbers, or trees of them, got "
            f"{describe(leaf)} in number {i}. A tuple is a tree: convert one of numbers to a list."
        )
    check_array("sequences", leaf)
    if len(leaf.shape) == 0:
        raise ValueError(
            f"`sequences` must hold arrays (T_i, ...), got no time axis in number {i}: "
            f"{describe(leaf)}."
        )
    if not (jnp.issubdtype(leaf.dtype, jnp.number) or leaf.dtype == np.bool_):
        raise TypeError(
            f"`sequences` must hold numbers or bools, got {describe(leaf)} in number {i}."
        )
    return np.asarray(leaf)


def _alike(arrays):
    """The same leaf of each sequence, checked."""
    first, like = next(((i, x) for i, x in enumerate(arrays) if x is not None), (0, np.zeros(0)))
    arrays = [np.zeros((0, *like.shape[1:]), like.dtype) if x is None else x for x in arrays]
    for i, x in enumerate(arrays):
        if x.shape[1:] != like.shape[1:] or x.dtype != like.dtype:
            raise ValueError(
                f"`sequences` must be alike in feature shape and dtype: number {first} is "
                f"{describe(like)}, number {i} is {describe(x)}."
            )
    return arrays


def _length(i, arrays):
    lengths = {len(x) for x in arrays}
    if len(lengths) > 1:
        raise ValueError(
            f"`sequences` must have one length in all their arrays, got {sorted(lengths)} steps in "
            f"number {i}."
        )
    return lengths.pop()
