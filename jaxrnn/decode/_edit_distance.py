"""Edit distance and error rate: how far decoded sequences are from their references."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import describe
from jaxrnn._core.compaction import compacted
from jaxrnn._core.masking import over_batch
from jaxrnn._core.mesh import on_any_mesh
from jaxrnn._core.ranges import check_known
from jaxrnn._core.shardings import like_frames, replicated
from jaxrnn.losses._arguments import check_mask


@on_any_mesh(like_frames)
def edit_distance(
    symbols: jax.Array,
    targets: jax.Array,
    mask: jax.Array | None = None,
    target_mask: jax.Array | None = None,
) -> jax.Array:
    """Levenshtein distance: the fewest insertions, deletions and substitutions between sequences.

    Args:
      symbols: integers (T, ...).
      targets: integers (U, ...), with the batch axes of `symbols`.
      mask: bool (T, ...), True = a real symbol, wherever it is.
      target_mask: bool (U, ...), True = a real target.

    Returns:
      int32 (...), one distance for each row.

    Raises:
      ValueError, TypeError: an argument of another shape or dtype.

    References: Levenshtein, 1966, "Binary codes capable of correcting deletions, insertions, and
    reversals".

    Examples:
      >>> read, written = (jnp.array([*map(ord, word)]) for word in ("kitten", "sitting"))
      >>> int(jaxrnn.decode.edit_distance(read, written))
      3
    """
    mask, target_mask = _masks(symbols, targets, mask, target_mask)
    if symbols.dtype != targets.dtype:
        symbols, targets = _wide("symbols", symbols, mask), _wide("targets", targets, target_mask)
    return _distances(jnp.asarray(symbols), jnp.asarray(targets), mask, target_mask)


@jax.jit
def _distances(symbols, targets, mask, target_mask):
    symbols, mask = compacted(symbols, mask)
    targets, target_mask = compacted(targets, target_mask)
    batch = symbols.shape[1:]
    columns = jnp.arange(targets.shape[0] + 1, dtype=jnp.int32).reshape(-1, *(1,) * len(batch))

    def read(distances, step):  # distances (U + 1, ...), to the first targets
        symbol, is_real = step
        replaced = distances[:-1] + (symbol[None] != targets).astype(jnp.int32)
        new = jnp.minimum(distances + 1, jnp.concatenate([distances[:1] + 1, replaced]))
        # Insertions: from the best column before, one for each column between.
        new = columns + jax.lax.cummin(new - columns, axis=0)
        return jnp.where(is_real[None], new, distances), None

    start = jnp.broadcast_to(columns, (targets.shape[0] + 1, *batch))
    distances, _ = jax.lax.scan(read, start, (symbols, mask))
    lengths = jnp.sum(target_mask, axis=0, dtype=jnp.int32)
    return jnp.take_along_axis(distances, lengths[None], axis=0)[0]


@on_any_mesh(replicated)
def error_rate(
    symbols: jax.Array,
    targets: jax.Array,
    mask: jax.Array | None = None,
    target_mask: jax.Array | None = None,
) -> jax.Array:
    """Error rate, of characters, words or phones: edit distances per target, over all rows.

    Args:
      symbols: integers (S, ...), as in `edit_distance`.
      targets: integers (U, ...).
      mask: bool, with any of the leading axes of `symbols`, True = a real symbol.
      target_mask: bool, with any of the leading axes of `targets`.

    Returns:
      A float32 scalar: the sum of the distances over the number of targets. It may exceed 1. With
      no target at all it is 0 if there is no symbol either, and inf otherwise.

    Raises:
      ValueError, TypeError: as in `edit_distance`.

    Examples:
      >>> symbols = jnp.array([[1, 1], [2, 5], [3, 3]])  # (S, B)
      >>> targets = jnp.array([[1, 1], [2, 2], [3, 0]])  # (U, B)
      >>> target_mask = jaxrnn.length_mask(jnp.array([3, 2]), 3)
      >>> rate = jaxrnn.decode.error_rate(symbols, targets, target_mask=target_mask)
      >>> round(float(rate), 3)  # 2 errors in 5 targets
      0.4
    """
    distances = jnp.sum(edit_distance(symbols, targets, mask, target_mask))
    count = jnp.sum(over_batch(target_mask, targets.shape, True))
    rate = distances.astype(jnp.float32) / jnp.asarray(count, jnp.float32)
    return jnp.where(distances == 0, jnp.zeros_like(rate), rate)


def _wide(name: str, x: Any, mask: Any) -> jax.Array:
    """`x` in int32, to be compared with integers of another width; raises where it does not fit."""
    limits = jnp.iinfo(jnp.int32)
    cause = "Number the symbols first, or give both in one dtype."
    check_known(name, x, mask, limits.min, limits.max, cause=cause)
    return jnp.asarray(x).astype(jnp.int32)


def _masks(symbols: Any, targets: Any, mask: Any, target_mask: Any) -> tuple[jax.Array, jax.Array]:
    """Masks with all axes; raises unless everything fits."""
    for name, x in [("symbols", symbols), ("targets", targets)]:
        if not hasattr(x, "dtype") or not jnp.issubdtype(x.dtype, jnp.integer) or not x.ndim:
            raise TypeError(f"`{name}` must be integers (T, ...), got {describe(x)}.")
    if symbols.shape[1:] != targets.shape[1:]:
        raise ValueError(
            f"`targets` must have the batch axes of `symbols`, {tuple(symbols.shape[1:])}, got "
            f"{tuple(targets.shape[1:])}. Both are time-first: is one of them transposed?"
        )
    check_mask("mask", mask, symbols.shape, "`symbols`")
    check_mask("target_mask", target_mask, targets.shape, "`targets`")
    return over_batch(mask, symbols.shape, True), over_batch(target_mask, targets.shape, True)
