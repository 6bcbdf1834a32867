"""Checks of masks and resets, bool (T, ...), against the sequences and carries beside them."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_array, describe


def check_flags(name: str, flags: Any, xs: Any, of: str = "xs") -> None:
    """Raises unless `flags` (a mask, or resets) is bool and fits the leading axes of `xs`."""
    if flags is None:
        return
    if not hasattr(flags, "dtype") or not hasattr(flags, "shape"):
        raise TypeError(
            f"`{name}` must be a bool array (T, ...), got {describe(flags)}. {_flag_hint(name)}"
        )
    check_array(name, flags)
    if flags.dtype != jnp.bool_:
        raise TypeError(f"`{name}` must be bool, got {describe(flags)}. {_flag_hint(name)}")
    for x in jax.tree.leaves(xs):
        if flags.ndim == 0 or flags.shape != x.shape[: flags.ndim]:
            raise ValueError(
                f"`{name}` must match the leading axes (T, ...) of `{of}` {tuple(x.shape)}, got "
                f"{tuple(flags.shape)}. {_likely_cause(flags, x, of)}"
            )


def _flag_hint(name):
    if name == "resets":
        return "Compare first, as in `done > 0`, or use `jaxrnn.data.segment_resets(segment_ids)`."
    return "Compare first, as in `xs != padding`, or use `jaxrnn.length_mask(lengths, T)`."


def _likely_cause(flags, x, of):
    if flags.shape[::-1] == x.shape[: flags.ndim]:
        return "It is time-first: is it transposed?"
    if flags.shape[1:] == x.shape[:-1]:
        return f"Does `{of}` lack its time axis? A single step is a sequence as `{of}[None]`."
    return "It is time-first; is it transposed, or of another batch?"


def check_flags_fit(name: str, flags: Any, tree: Any) -> None:
    """Raises unless every array of `tree`, a carry or an output, has the batch axes of `flags`."""
    batch = () if flags is None else flags.shape[1:]
    for leaf in jax.tree.leaves(tree):
        if leaf.shape[: len(batch)] != batch:
            raise ValueError(
                f"`{name}` {flags.shape} has batch axes {batch}, and an array {leaf.shape} in the "
                "carry or the output does not begin with them. It needs one value a time "
                "step, (T, ...), without features; where a batch shares an array, use `jax.vmap`."
            )


def check_no_features(name: str, flags: Any, batch: tuple[int, ...]) -> None:
    """Raises if `flags` have more axes than time and the batch axes of the inputs."""
    if flags is not None and flags.ndim > 1 + len(batch):
        raise ValueError(
            f"`{name}` must be (T, ...), one value for each step of each sequence, got "
            f"{tuple(flags.shape)} where the batch axes are {batch}. The axes of the inputs after "
            f"them hold features: reduce these, as with `{name}.any(-1)`."
        )


def check_mask_and_resets(mask: Any, resets: Any, tree: Any) -> None:
    """`check_flags_fit` for both."""
    check_flags_fit("mask", mask, tree)
    check_flags_fit("resets", resets, tree)
