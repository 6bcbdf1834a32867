"""What decoders require of their arguments."""

import numbers
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import check_array, check_key, describe, dtype_of
from jaxrnn._core.entry import shapes
from jaxrnn._core.flags import check_flags
from jaxrnn._core.ranges import check_known, known
from jaxrnn._core.types import Layer, Params, check_layer
from jaxrnn.layers._bidirectional import bidirectional
from jaxrnn.layers._compose import keeps_time
from jaxrnn.layers._rnn import rnn
from jaxrnn.losses._alignments import check_blank
from jaxrnn.losses._arguments import check_mask


def check_prompt(prompt: Any, mask: Any, carry: Any) -> None:
    """Raises unless `prompt` is an array (P, ...), with a real step in each row that begins."""
    check_array("prompt", prompt)
    if prompt.ndim == 0 or prompt.shape[0] == 0:
        raise ValueError(
            f"`prompt` is empty: expected (P, ...) with at least one step, got {describe(prompt)}. "
            "Begin with what the model was trained to begin with."
        )
    check_flags("mask", mask, prompt, of="prompt")
    real = None if mask is None else known(mask)
    if carry is None and real is not None and not real.any(axis=0).all():
        raise ValueError(
            "`mask` leaves a row of `prompt` without a real step, and so without a first output. "
            "Begin each row with what the model was trained to begin with."
        )


def check_decoder(model: Any) -> None:
    """Raises unless `model` is a layer without a part that is known to read from the end."""
    check_layer("`model`", model)
    for part in _parts(model):
        function, _, kwargs = part.made.rebuild
        if function is bidirectional or (function is rnn and kwargs.get("reverse")):
            raise ValueError(
                f"`model` must read from the first step to the last, as each output becomes the "
                f"next input, and {part!r} reads from the end. Such a layer can be an encoder, "
                "whose outputs a decoder reads: see `jaxrnn.attention`."
            )


def _parts(layer):
    """The layers that `layer` is known to be made of, and itself."""
    if isinstance(layer, Layer) and layer.made is not None:
        yield layer
        _, args, kwargs = layer.made.rebuild
        for part in jax.tree.leaves((args, kwargs), is_leaf=lambda x: isinstance(x, Layer)):
            yield from _parts(part)


def check_steps(model: Layer, params: Params, xs: Any) -> Any:
    """The shapes of the outputs; raises unless there is one for each step."""
    if not keeps_time(model, params, xs):
        raise ValueError(
            f"`model` must return an output for each step, and {model!r} pools over time."
        )
    return shapes(model, params, xs)[1]


def check_start(start: Any) -> None:
    """Raises unless `start` is a whole number of 0 or more, or a traced integer."""
    check_number("start", start, lambda x: x >= 0, "an integer of 0 or more")
    if not jnp.issubdtype(jnp.result_type(start), jnp.integer):
        raise TypeError(f"`start` must be an integer of 0 or more, got {describe(start)}.")


def check_logits(model: Layer, params: Params, prompt: Any) -> tuple[int, Any]:
    """V and the dtype of logits (..., V); raises unless `model` maps symbols to floating logits."""
    check_decoder(model)
    if not jnp.issubdtype(prompt.dtype, jnp.integer):
        raise TypeError(
            f"`prompt` must be integers, one per symbol, got {describe(prompt)}. For sequences of "
            "vectors, use `jaxrnn.decode.sample_path`."
        )
    _, ys = shapes(model, params, prompt)
    is_one = hasattr(ys, "shape") and ys.shape[:-1] == prompt.shape
    if not is_one or not jnp.issubdtype(ys.dtype, jnp.floating):
        raise TypeError(
            f"`model` must return floating logits {(*prompt.shape, 'V')} for symbols "
            f"{tuple(prompt.shape)}, got {jax.tree.map(describe, ys)}. Does it end in "
            "`jaxrnn.dense(V)`?"
        )
    return ys.shape[-1], ys.dtype


def check_symbols(prompt: Any, mask: Any, stop: Any, num_symbols: int) -> None:
    """Raises where a symbol is known to be outside the vocabulary, as may be `stop`."""
    check_known("prompt", prompt, mask, 0, num_symbols - 1, cause=_CAUSE)
    if stop is None:
        return
    is_traced = isinstance(stop, jax.core.Tracer)
    if isinstance(stop, bool) or is_traced or not hasattr(stop, "__index__"):
        raise TypeError(f"`stop` must be an integer or None, got {describe(stop)}.")
    if not 0 <= stop < num_symbols:
        raise ValueError(f"`stop` must be a symbol, from 0 to {num_symbols - 1}, got {stop}.")


_CAUSE = "The model has this many outputs. For padding, pass a `mask`."


def keys_of_rows(key: Any, batch: tuple[int, ...]) -> jax.Array | None:
    """One key for each row. A single key is split; a batch of keys is used as it is."""
    if key is None:
        return None
    is_typed = hasattr(key, "dtype") and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    num_axes = len(batch) if is_typed else len(batch) + 1  # a raw key is an array of numbers
    is_key = is_typed or getattr(key, "dtype", None) == jnp.uint32
    if batch and is_key and np.ndim(key) == num_axes:
        if key.shape[: len(batch)] == batch:
            return key
        raise ValueError(
            f"`key` must be a single key, or one for each row of the batch {batch}, got "
            f"{describe(key)}."
        )
    check_key(key)
    return jax.random.split(key, batch) if batch else key


def check_number(name: str, value: Any, is_allowed: Callable, expected: str) -> None:
    """Raises unless `value` is one number, and allowed where it is known."""
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, np.ndarray, jax.Array)):
        raise TypeError(f"`{name}` must be {expected}, got {describe(value)}.")
    if np.ndim(value):
        raise TypeError(f"`{name}` must be one number, got {describe(value)}.")
    if not isinstance(value, jax.core.Tracer) and not is_allowed(value):
        raise ValueError(f"`{name}` must be {expected}, got {value}.")


def check_frames(logits: Any, mask: Any, blank: Any) -> jax.Array:
    """`logits` as an array; raises unless they are floating (T, ..., K) and the others fit."""
    check_array("logits", logits)
    if logits.ndim < 2 or not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(f"`logits` must be floating (T, ..., K), got {describe(logits)}.")
    check_mask("mask", mask, logits.shape[:-1], "`logits`")
    check_blank(blank, logits.shape[-1])
    return jnp.asarray(logits)


def check_drawn(sample: Any, keys: Any, ys: Any, xs: Any, num_axes: int) -> None:
    """Raises unless `sample` makes an input, a step of a row of `xs`, of an output of that row."""
    if not callable(sample) or getattr(sample, "__name__", "") == "categorical":
        raise TypeError(
            "`sample` must be a function `(key, y) -> x`, such as `jaxrnn.decode.greedy` or "
            f"`jaxrnn.decode.categorical()`, got {sample!r}."
        )
    lead = 1 + num_axes
    y = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[lead:], leaf.dtype), ys)
    key = None if keys is None else jax.ShapeDtypeStruct(keys.shape[num_axes:], keys.dtype)
    x = jax.eval_shape(sample, key, y)
    want = jax.ShapeDtypeStruct(xs.shape[lead:], dtype_of(xs))
    are_symbols = all(
        hasattr(z, "dtype") and jnp.issubdtype(z.dtype, jnp.integer) for z in (x, want)
    )
    fits = getattr(x, "shape", None) == want.shape
    if not fits or not (are_symbols or getattr(x, "dtype", None) == want.dtype):
        raise TypeError(
            f"`sample` must return {describe(want)}, one step of one row, got "
            f"{jax.tree.map(describe, x)} from an output {jax.tree.map(describe, y)}."
        )
