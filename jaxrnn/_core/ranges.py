"""Values that must lie in a range: symbols, labels. They are read where that costs nothing."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def known(x: Any) -> np.ndarray | None:
    """`x` as a NumPy array; None if it is traced, or on an accelerator.

    To read an accelerator would stop the program until all that was asked of it is done.
    """
    if isinstance(x, (np.ndarray, np.generic)):
        return np.asarray(x)
    if not isinstance(x, jax.Array) or isinstance(x, jax.core.Tracer):
        return None
    on_host = x.is_fully_addressable and all(d.platform == "cpu" for d in x.devices())
    return np.asarray(x) if on_host else None


def known_where(mask: Any, x: Any) -> np.ndarray | None:
    """The values of `x` (T, ...) where `mask` is True; None unless both are known."""
    values, real = known(x), known(mask)
    if values is None or (mask is not None and real is None):
        return None
    return values if mask is None else values[real]


def check_known(name: str, x: Any, mask: Any, lowest: float, highest: float, *, cause: str) -> None:
    """Raises if `x` is known to leave the range at a real step. A masked step never counts.

    Args:
      name: what the message calls `x`.
      x: an array (T, ...).
      mask: bool, with the leading axes of `x`, or None.
      lowest: the lowest value.
      highest: the highest value.
      cause: the likely cause, the last sentences of the message.
    """
    values = known_where(mask, x)
    if values is None or not values.size:
        return
    least, most = values.min().item(), values.max().item()
    if not lowest <= least <= most <= highest:  # neither is NaN
        raise ValueError(
            f"`{name}` must be from {lowest} to {highest}, got values from {least} to {most}. "
            f"{cause}"
        )


def is_index(x: Any, size: int) -> Any:
    """bool, True where an integer of `x` is from 0 to `size` - 1.

    Compared in the dtype of `x`, in which `size` may not exist, before anything is cast: 300 in
    uint8 is 44, and 2**32 + 3 in int32 is 3.
    """
    return (x >= 0) & (x <= min(size - 1, int(jnp.iinfo(x.dtype).max)))
