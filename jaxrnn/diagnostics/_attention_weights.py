"""Where a cell with attention looks."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import describe
from jaxrnn._core.entry import constructor
from jaxrnn._core.types import Cell, Layer, Params
from jaxrnn.diagnostics._streaming import cell_of
from jaxrnn.engines._unroll import unroll
from jaxrnn.wrappers._attention import AttentionCarry, attention


def attention_weights(
    model: Cell | Layer,
    params: Params,
    xs: Any,
    context: Any,
    *,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Attention maps: the weights with which a cell reads its memory at each step.

        weights = attention_weights(decoder, params, xs, {"memory": states})  # (T, B, S)
        plots.attention_map(weights[:, 0])

    Args:
      model: a cell from `jaxrnn.attention`, with any score, fed back or not; or `jaxrnn.rnn` of it.
      params: from its `init`.
      xs: inputs (T, ..., I): of a decoder, the symbols that it wrote, embedded.
      context: with the memory (..., S, D), and a mask of it if there is one, as for
        `jaxrnn.unroll`.
      mask: bool (T, ...), True = a real step. Weights of masked steps are 0.

    Returns:
      (T, ..., S). They add up to 1 over the real entries of the memory.

    Raises:
      ValueError, TypeError: `model` is no cell from `jaxrnn.attention`, or an argument does not fit
        it.

    References: Bahdanau, Cho and Bengio, 2015, "Neural machine translation by jointly learning to
    align and translate".

    Examples:
      >>> import jax, jax.numpy as jnp, jaxrnn
      >>> decoder = jaxrnn.attention(jaxrnn.gru(8), 6)
      >>> xs, memory = jnp.ones((5, 2, 3)), jnp.ones((2, 7, 6))
      >>> params = decoder.init(jax.random.key(0), xs[0])
      >>> weights = jaxrnn.diagnostics.attention_weights(decoder, params, xs, {"memory": memory})
      >>> weights.shape
      (5, 2, 7)
    """
    cell = (cell_of(model) if isinstance(model, Layer) else None) or model
    if not isinstance(cell, Cell) or not cell.made or cell.made.rebuild[0] is not attention:
        raise TypeError(
            f"`model` must be a cell from `jaxrnn.attention`, or `jaxrnn.rnn` of one, got "
            f"{describe(model)}. Of a stack, take that layer, its parameters and its inputs."
        )
    memory = context["memory"] if isinstance(context, dict) else getattr(context, "memory", None)
    num_entries = jnp.shape(memory)[-2] if jnp.ndim(memory) > 1 else 1  # `unroll` will complain
    _, ys = unroll(_telling(cell, num_entries), params, None, xs, mask=mask, context=context)
    return ys


@constructor
def _telling(cell: Cell, num_entries: int) -> Cell:
    """`cell`, whose output are its weights.

    What it reads is a sum of entries by these weights. So each entry is made longer by a row of the
    identity, which nothing else reads.
    """

    def prepare(params, context):
        ready = cell.prepare(params, context)
        eye = jnp.eye(num_entries, dtype=ready.memory.dtype)
        eye = jnp.broadcast_to(eye, (*ready.memory.shape[:-1], num_entries))
        if ready.feed is not None:
            rows = (0, num_entries), (0, 0)
            ready = ready._replace(feed=jnp.pad(ready.feed, rows))
        return ready._replace(memory=jnp.concatenate([ready.memory, eye], axis=-1))

    def init_carry(params, x):
        carry = cell.init_carry(params, x)
        if not isinstance(carry, AttentionCarry):
            return carry
        pads = [(0, 0)] * (carry.attended.ndim - 1) + [(0, num_entries)]
        return carry._replace(attended=jnp.pad(carry.attended, pads))

    def output(params, carry, u):
        return cell.output(params, carry, u)[..., -num_entries:]

    return cell._replace(prepare=prepare, init_carry=init_carry, output=output)
