"""What `jaxrnn.attention` draws, and what it requires of a memory."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_size, describe
from jaxrnn.initializers import Initializer
from jaxrnn.wrappers._scores import SCORES


class Draw(NamedTuple):
    """The arguments of `jaxrnn.attention` that its parameters depend on."""

    memory_size: int
    score: str
    size: int
    width: int
    feed_back: bool
    kernel_init: Initializer
    score_init: Initializer

    def __call__(self, keys: list, h: Any, gates: int | None) -> tuple[jax.Array | None, ...]:
        """The parameters beside those of the cell: query, key, score, location and feed.

        Args:
          keys: four random keys.
          h: the shape of the hidden state.
          gates: the width of what the cell projects; None unless the attention is fed back.
        """
        if self.score == "dot" and h.shape[-1] != self.memory_size:
            raise ValueError(
                f"`score='dot'` needs a hidden state as wide as the memory: H is {h.shape[-1]}, "
                f"and `memory_size` {self.memory_size}. Use 'general', which maps one to the other."
            )
        is_additive = self.score in ("additive", "location")
        width = {"dot": None, "general": self.memory_size}.get(self.score, self.size)
        location_key = jax.random.fold_in(keys[1], 1)

        def kernel(key, rows, columns):
            return self.kernel_init(key, (rows, columns), h.dtype)

        return (
            kernel(keys[0], h.shape[-1], width) if width else None,
            kernel(keys[1], self.memory_size, self.size) if is_additive else None,
            self.score_init(keys[2], (self.size,), h.dtype) if is_additive else None,
            kernel(location_key, self.width, self.size) if self.score == "location" else None,
            kernel(keys[3], self.memory_size, gates) if self.feed_back else None,
        )


def check_score(score: Any, num_entries: Any, feed_back: bool) -> None:
    """Raises unless `score` is known, and has what it needs."""
    if score not in SCORES:
        raise ValueError(f"`score` must be one of {list(SCORES)}, got {score!r}.")
    if num_entries is not None:
        check_size("num_entries", num_entries)
    if score == "location" and not feed_back:
        raise ValueError(
            "`score='location'` needs `feed_back=True`: it reads the memory in the loop, from "
            "where it has read before."
        )
    if score == "location" and num_entries is None:
        raise ValueError(
            "`score='location'` needs `num_entries`, the length S of the padded memory: the carry "
            "holds a weight for each entry."
        )


def check_memory(memory: Any, mask: Any, memory_size: int, num_entries: int | None) -> None:
    """Raises unless the memory and its mask have the shapes that they should have."""
    expected = f"(..., {num_entries or 'S'}, {memory_size})"
    shape = getattr(memory, "shape", ())
    if len(shape) < 2 or shape[-1] != memory_size or shape[-2] != (num_entries or shape[-2]):
        raise ValueError(
            f"`context` field `memory` must be {expected}, got {describe(memory)}."
            + (" Pad it to `num_entries`, and pass `memory_mask`." if num_entries else "")
        )
    if mask is not None and (mask.dtype != jnp.bool_ or mask.shape != memory.shape[:-1]):
        raise ValueError(
            f"`context` field `memory_mask` must be bool {memory.shape[:-1]}, as the memory "
            f"{describe(memory)} has entries, got {describe(mask)}."
        )


def check_batch(memory: jax.Array, batch: tuple[int, ...]) -> None:
    """Raises unless the memory has the batch axes of the inputs."""
    own = memory.shape[:-2]
    if own != batch[len(batch) - len(own) :]:
        raise ValueError(
            f"`context` field `memory` {describe(memory)} must have the batch axes of the inputs, "
            f"{batch}. It is (B, S, D): batch first, without a time axis."
        )
