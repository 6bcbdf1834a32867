"""Checks for lists of variable-length sequences."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxrnn._core.checks import describe


def check_sequences(sequences: Sequence[Any]) -> list[np.ndarray]:
    """The sequences as NumPy arrays. Raises unless they differ only in length."""
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
                "Convert lists of numbers with `np.array`."
            )
        if x.ndim == 0:
            raise ValueError(
                f"`sequences` must hold arrays (T_i, ...), got no time axis in number {i}: "
                f"{describe(x)}."
            )
        if x.shape[1:] != sequences[0].shape[1:] or x.dtype != sequences[0].dtype:
            raise ValueError(
                "`sequences` must be alike in feature shape and dtype: number 0 is "
                f"{describe(sequences[0])}, number {i} is {describe(x)}."
            )
    return [np.asarray(x) for x in sequences]
