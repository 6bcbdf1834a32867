"""Time gaps from the times of observations."""

from typing import Any

import numpy as np

from jaxrnn._core.checks import describe
from jaxrnn._core.flags import check_flags


def time_gaps(times: Any, mask: Any = None) -> np.ndarray:
    """The time since the step before, for `jaxrnn.Timed`, from the time of each step.

    Args:
      times: numbers (T, ...), the time of each step, in any unit. Subtract and scale large ones,
        such as seconds since 1970, in float64 first: float32 has seven digits.
      mask: bool (T, ...), True = a real step. The gap of a real step reaches back to the real step
        before it. The gap of a masked step is 0.

    Returns:
      The gaps (T, ...), in the dtype of `times`, float32 for integers. That of the first real step
      is 0.

    Raises:
      TypeError: `times` are not numbers, or `mask` is not bool.
      ValueError: `times` has no time axis, the mask does not fit, or the times of real steps are
        not in order, or not finite.

    Examples:
      >>> times = np.array([1.0, 1.5, 0.0, 4.0])  # (T,)
      >>> mask = np.array([True, True, False, True])
      >>> jaxrnn.data.time_gaps(times, mask).tolist()
      [0.0, 0.5, 0.0, 2.5]
    """
    times = np.asarray(times)
    if times.dtype.kind not in "fiu" and times.dtype.name != "bfloat16":
        raise TypeError(f"`times` must be numbers, got {describe(times)}.")
    if times.ndim == 0:
        raise ValueError("`times` must be (T, ...), with a time axis, got one number.")
    dtype = np.float32 if times.dtype.kind in "iu" else times.dtype
    check_flags("mask", mask, times, of="times")
    real = np.ones(times.shape, bool) if mask is None else np.asarray(mask)
    real = np.broadcast_to(real.reshape(*real.shape, *(1,) * (times.ndim - real.ndim)), times.shape)
    # Of the step before that is real: the latest one whose place has been seen.
    places = np.where(real, np.arange(len(times)).reshape(-1, *(1,) * (times.ndim - 1)), -1)
    latest = np.maximum.accumulate(np.concatenate([np.full((1, *times.shape[1:]), -1), places]))
    before = np.take_along_axis(times, np.maximum(latest[:-1], 0), axis=0)
    has_gap = real & (latest[:-1] >= 0)
    result = np.zeros(times.shape, times.dtype)
    np.subtract(times, before, out=result, where=has_gap)
    if not np.isfinite(times[real].astype(np.float64)).all() or (times < before)[has_gap].any():
        raise ValueError(
            "`times` must be finite, and in order along the time axis, (T, ...), at all real "
            "steps. Sort each sequence by time; for padding, pass a `mask`."
        )
    return result.astype(dtype)
