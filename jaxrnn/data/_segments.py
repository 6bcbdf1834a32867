"""Segment ids: which sequence each step of a packed row belongs to."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import describe


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

    Examples:
      >>> ids = jnp.array([0, 0, 2, 2, 5])  # (T,)
      >>> jaxrnn.data.segment_resets(ids).tolist()
      [False, False, True, False, True]
      >>> jaxrnn.data.segment_resets(ids, previous=jnp.array(7))[0].item()
      True
    """
    check_ids("segment_ids", segment_ids, "(T, ...)")
    if segment_ids.ndim == 0:
        raise ValueError("`segment_ids` needs a time axis: expected (T, ...), got ().")
    if previous is None:
        before = segment_ids[:1]
    else:
        check_ids("previous", previous, "(...)")
        if previous.shape != segment_ids.shape[1:] or previous.dtype != segment_ids.dtype:
            raise ValueError(
                f"`previous` must be one step like `segment_ids[0]`, where `segment_ids` is "
                f"{describe(segment_ids)}, got {describe(previous)}. Pass `segment_ids[-1]` of the "
                "previous chunk."
            )
        before = previous[None]
    # JAX may narrow 64-bit ids to 32 bits, so NumPy compares the ids that are on the host.
    on_host = all(isinstance(ids, (np.ndarray, np.generic)) for ids in (segment_ids, before))
    numpy = np if on_host else jnp
    shifted = numpy.concatenate([before, segment_ids])[: len(segment_ids)]
    return jnp.asarray(shifted != segment_ids)


def check_ids(name: str, ids: Any, axes: str) -> None:
    """Raises unless `ids` is an array of integers. The message calls it `name`, and its `axes`."""
    if not hasattr(ids, "dtype") or not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(f"`{name}` must be an array of integers {axes}, got {describe(ids)}.")
