"""Free running over vectors: each step is drawn from the output for the steps before it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_size
from jaxrnn._core.mesh import with_auto_axes
from jaxrnn._core.noise import batch_axes
from jaxrnn._core.shardings import like_decoded
from jaxrnn._core.types import Carry, Layer, Params
from jaxrnn.decode._checks import (
    check_decoder,
    check_drawn,
    check_prompt,
    check_start,
    check_steps,
    keys_of_rows,
)
from jaxrnn.decode._feeding import Choices, as_one_program, draw_rows, feed, read


class Path(NamedTuple):
    """What `sample_path` returns.

    Attributes:
      carry: after all steps but the last, which has not been read.
      xs: the steps that were drawn, (L, ..., I).
      ys: the outputs that they were drawn from, (L, ..., K).
    """

    carry: Carry
    xs: Any
    ys: Any


def sample_path(
    model: Layer,
    params: Params,
    prompt: jax.Array,
    key: jax.Array | None,
    length: int,
    *,
    sample: Callable[[jax.Array | None, Any], jax.Array],
    mask: jax.Array | None = None,
    carry: Carry | None = None,
    context: Any = None,
    num_feature_axes: int = 1,
    start: int | jax.Array = 0,
) -> Path:
    """Free running: draws each step from the model's output for all before it, and feeds it back.

    For series, strokes, trajectories: anything that a distribution over vectors describes. The
    gradient flows through what `sample` makes of an output, so paths can be trained through. To go
    on later, pass what came last: ``sample_path(model, params, path.xs[-1:], key, more,
    carry=path.carry, start=length, ...)`` draws what one longer call would have drawn.

    Args:
      model: a layer from (T, ..., I) to (T, ..., K).
      params: from ``model.init``.
      prompt: (P, ..., I), the steps to begin with; P is at least 1.
      key: a random key, which is split over the rows, or one key for each row. None if `sample`
        draws nothing.
      length: L, the number of steps to draw.
      sample: ``(key, y (K,)) -> x (I,)``, a draw from the distribution that y describes, of the
        shape and dtype of a step of `prompt`. It is given y as it is, NaN included.
      mask: bool (P, ...), True = a real step of the prompt.
      carry: before the prompt; None means the initial carry.
      context: as in `jaxrnn.unroll`.
      num_feature_axes: how many axes one input has, as of a `jaxrnn.Cell`: 3 for pictures.
      start: the number of steps drawn before, with this key, by calls that this one continues.

    Returns:
      `Path`.

    Raises:
      ValueError, TypeError: an argument does not fit, the prompt is empty, `sample` does not
        return a step, or `model` reads from the end.

    References: Graves, 2013, "Generating sequences with recurrent neural networks".

    Examples:
      >>> model = jaxrnn.dense(1, use_bias=False)
      >>> params = jaxrnn.layers.DenseParams(jnp.array([[2.0]]), None)  # each step doubles
      >>> prompt, double = jnp.array([[1.0]]), lambda key, y: y  # (P, I)
      >>> path = jaxrnn.decode.sample_path(model, params, prompt, None, 4, sample=double)
      >>> path.xs[:, 0].tolist()
      [2.0, 4.0, 8.0, 16.0]
    """
    check_decoder(model)
    check_size("length", length)
    check_prompt(prompt, mask, None)
    batch = batch_axes(prompt, num_feature_axes)[1:]
    check_start(start)
    keys = keys_of_rows(key, batch)
    check_drawn(sample, keys, check_steps(model, params, prompt), prompt, len(batch))
    choices = Choices(sample, int(length), None, len(batch))
    names = "params", "carry", "prompt", "mask", "key", "context", "start"
    given = params, carry, prompt, mask, keys, context, start

    def run(arguments):
        return _loop(model, choices, *arguments.values())

    carry, outs = with_auto_axes(run, dict(zip(names, given, strict=True)), like_decoded)
    return Path(carry, *outs)


@as_one_program
def _loop(model, choices, params, carry, prompt, mask, keys, context, start):
    prompt, num_axes = jnp.asarray(prompt), choices.num_axes
    start = jnp.asarray(start, jnp.int32)

    def draw(count, y):
        return draw_rows(choices.sample, keys, start + count, y, num_axes)

    def advance(state, count):
        carry, x = state
        carry, y = feed(model, params, carry, x, None, context)
        x = draw(count, y)
        return (carry, x), (x, y)

    carry, y = read(model, params, carry, prompt, mask, context)
    first = draw(0, y)
    counts = jnp.arange(1, choices.length, dtype=jnp.int32)
    (carry, _), rest = jax.lax.scan(advance, (carry, first), counts)
    outs = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), (first, y), rest)
    return carry, outs
