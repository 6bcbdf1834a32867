"""The beams of a CTC prefix search, for one sequence."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

# Label sequences are told apart by two hashes of 32 bits each.
_MULTIPLIERS = 0x85EBCA6B, 0xC2B2AE35
_SEEDS = 0x9E3779B9, 0x7F4A7C15


class Prefixes(NamedTuple):
    """N label sequences, the best first."""

    blank: jax.Array  # (N,), log p of the alignments that end in a blank
    label: jax.Array  # (N,), log p of those that end in the last label
    last: jax.Array  # int32 (N,), the last label; -1 without one
    hashes: jax.Array  # uint32 (N, 2), of all labels
    before: jax.Array  # uint32 (N, 2), of all labels but the last

    @property
    def log_p(self):
        return jnp.logaddexp(self.blank, self.label)


def best_prefixes(
    log_p: jax.Array, mask: jax.Array, beams: int, blank: int
) -> tuple[jax.Array, jax.Array]:
    """The best N label sequences of frames log p (T, K).

    Returns:
      The label that each sequence appends at each frame, int32 (T, N), -1 where it appends none,
      and log p of the sequences (N,).
    """
    none = jnp.full(beams, -jnp.inf, log_p.dtype)
    empty = jnp.broadcast_to(jnp.asarray(_SEEDS, jnp.uint32), (beams, 2))
    last = jnp.full(beams, -1, jnp.int32)
    first = Prefixes(none.at[0].set(0), none, last, empty, ~empty)
    places = jnp.arange(beams, dtype=jnp.int32)

    def read(prefixes, frame):
        log_p, is_real = frame
        new, parents, labels = _extended(prefixes, log_p, blank)
        new = jax.tree.map(lambda a, b: jnp.where(is_real, a, b), new, prefixes)
        return new, (jnp.where(is_real, parents, places), jnp.where(is_real, labels, -1))

    prefixes, (parents, labels) = jax.lax.scan(read, first, (log_p, mask))

    def back(beams, step):
        parents, labels = step
        return parents[beams], labels[beams]

    appended = jax.lax.scan(back, places, (parents, labels), reverse=True)[1]
    scores = jnp.where(jnp.any(jnp.isnan(log_p)), jnp.nan, prefixes.log_p)
    return jnp.where(scores == -jnp.inf, -1, appended), scores


def _extended(prefixes: Prefixes, log_p: jax.Array, blank: int) -> tuple:
    """The best prefixes after one more frame (K,), the prefix that each extends, and its label."""
    num_beams, num_labels = prefixes.last.size, log_p.size
    any_end = prefixes.log_p
    labels = jnp.arange(num_labels, dtype=jnp.int32)
    # A label that repeats the last one needs a blank between them.
    repeats = labels[None] == prefixes.last[:, None]
    longer = log_p[None] + jnp.where(repeats, prefixes.blank[:, None], any_end[:, None])
    longer = longer.at[:, blank].set(-jnp.inf)

    # A longer sequence may be in the beam already: it gets the probability, and is no candidate.
    is_there = any_end > -jnp.inf
    extends = jnp.all(prefixes.before[None] == prefixes.hashes[:, None], axis=-1)
    extends &= is_there[:, None] & (is_there & (prefixes.last >= 0))[None]  # (shorter, longer)
    own = jnp.maximum(prefixes.last, 0)
    joined = jnp.where(extends, longer[:, own], -jnp.inf)
    taken = extends[:, :, None] & repeats[None]  # (shorter, longer, label)
    longer = jnp.where(jnp.any(taken, axis=1), -jnp.inf, longer)

    stay_label = jnp.logaddexp(
        jnp.where(prefixes.last >= 0, prefixes.label + log_p[own], -jnp.inf),
        jax.nn.logsumexp(joined, axis=0),
    )
    stay_blank = any_end + log_p[blank]
    scores = jnp.concatenate([jnp.logaddexp(stay_blank, stay_label), longer.reshape(-1)])
    _, places = jax.lax.top_k(scores, num_beams)

    is_longer = places >= num_beams
    parents, label = jnp.divmod(places - num_beams, num_labels)
    parents = jnp.where(is_longer, parents, places)
    label = jnp.where(is_longer, label, -1).astype(jnp.int32)

    def either(grown, same):
        flags = is_longer.reshape(-1, *(1,) * (same.ndim - 1))
        return jnp.where(flags, grown, same[parents])

    hashes = prefixes.hashes[parents]
    new = Prefixes(
        either(-jnp.inf, stay_blank),
        jnp.where(is_longer, longer[parents, jnp.maximum(label, 0)], stay_label[parents]),
        either(label, prefixes.last),
        either(_hashed(hashes, label), prefixes.hashes),
        either(hashes, prefixes.before),
    )
    return new, parents.astype(jnp.int32), label


def _hashed(hashes: jax.Array, labels: jax.Array) -> jax.Array:
    """The hashes of sequences with one more label (the finalizer of MurmurHash3)."""
    mixed = hashes ^ (labels[:, None].astype(jnp.uint32) * jnp.uint32(0x9E3779B1) + jnp.uint32(1))
    for multiplier, shift in zip(_MULTIPLIERS, (16, 13), strict=True):
        mixed = (mixed ^ (mixed >> shift)) * jnp.uint32(multiplier)
    return (mixed ^ (mixed >> 16)) * jnp.asarray([[1, 0x27D4EB2F]], jnp.uint32)
