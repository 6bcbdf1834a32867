"""A cell that attends to a memory, such as the states of an encoder."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_params, check_size, describe
from jaxrnn._core.context import context_field, prepare_with
from jaxrnn._core.entry import constructor
from jaxrnn._core.masking import check_no_leaf_resets, select
from jaxrnn._core.noise import without_noise
from jaxrnn._core.numerics import matmul, sum_dtype
from jaxrnn._core.of_field import OfField
from jaxrnn._core.types import Carry, Cell, Params, check_splits, nothing
from jaxrnn.initializers import Initializer, glorot_uniform, in_float32
from jaxrnn.wrappers._memory import Draw, check_batch, check_memory, check_score
from jaxrnn.wrappers._scores import Ready, attend, attend_from


class AttentionParams(NamedTuple):
    cell: Params
    query: jax.Array | None  # (H, A), or (H, D) for "general"; None for "dot"
    key: jax.Array | None  # (D, A), for "additive" and "location"
    score: jax.Array | None  # (A,), for "additive" and "location"
    location: jax.Array | None  # (W, A), for "location"
    feed: jax.Array | None  # (D, G*H), with `feed_back`


class AttentionCarry(NamedTuple):
    """The carry of `jaxrnn.attention` with `feed_back`."""

    carry: Carry  # of the cell
    attended: jax.Array  # (..., D), what the step read from the memory
    weights: jax.Array | None  # (..., S), of each entry, for "location"


@constructor
def attention(
    cell: Cell,
    memory_size: int,
    *,
    score: str = "general",
    size: int = 128,
    num_entries: int | None = None,
    width: int = 15,
    feed_back: bool = False,
    kernel_init: Initializer = glorot_uniform(),
    score_init: Initializer = in_float32(jax.nn.initializers.normal(0.1)),
) -> Cell:
    """A cell that attends to a memory and outputs what it reads beside its own output.

        e_s = q · k_s                 "dot",      q = h,     k_s = m_s
        e_s = q · k_s                 "general",  q = W h,   k_s = m_s
        e_s = v · tanh(q + k_s)       "additive", q = W h,   k_s = K m_s
        e_s = v · tanh(q + k_s + f_s) "location", f = L * w, w the weights of the step before
        a = Σ_s softmax(e)_s m_s              * is a convolution over the entries s
        y = [y of the cell, a]

    h is the new state, and the memory is read after the loop, for all steps at once. With
    `feed_back`, h is the state before the step, and a enters the gates of the step too, u + F a, so
    the memory is read in the loop. ``"location"`` needs `feed_back`: it sees where it has read, so
    that it goes on from there, as in speech.

    The memory comes from the `context` of the sequence: ``context={"memory": (B, S, D)}``, and
    optionally ``"memory_mask"``, bool (B, S), True = a real entry. Nothing in the padding is read,
    and a sequence without any real entry reads zeros. The keys are made once a sequence.

    Args:
      cell: a cell whose carry has a field ``h``, and whose output is one array.
      memory_size: D.
      score: ``"dot"``, which needs H = D, ``"general"``, ``"additive"`` or ``"location"``.
      size: A, of the space in which ``"additive"`` and ``"location"`` compare.
      num_entries: S, of the padded memory. ``"location"`` needs it: its carry holds S weights.
      width: W, the number of entries that the convolution of ``"location"`` sees.
      feed_back: whether what is read enters the gates. The `project` of `cell` must then give one
        array, as in all gated cells.
      kernel_init: draws the matrices `query`, `key`, `location` and `feed`.
      score_init: draws `score` (A,).

    Returns:
      A `Cell` with parameters `AttentionParams`, and the carry of `cell`, or `AttentionCarry` with
      `feed_back`; its output is (..., H + D).

    Raises:
      ValueError, TypeError: `score` is unknown, a size is not a positive integer, `cell` does not
        fit, or ``"location"`` lacks what it needs; later, if the context lacks the memory, or it
        does not fit the batch.

    References: Bahdanau, Cho and Bengio, 2015, "Neural machine translation by jointly learning to
    align and translate" (additive, fed back); Luong, Pham and Manning, 2015, "Effective approaches
    to attention-based neural machine translation" (dot, general); Chorowski et al., 2015,
    "Attention-based models for speech recognition" (location).

    Examples:
      >>> decoder = jaxrnn.attention(jaxrnn.lstm(8), 6)
      >>> xs, memory = jnp.ones((5, 2, 4)), jnp.ones((2, 9, 6))  # (T, B, I), (B, S, D)
      >>> params = decoder.init(jax.random.key(0), xs[0])
      >>> carry, ys = jaxrnn.unroll(decoder, params, None, xs, context={"memory": memory})
      >>> ys.shape  # H + D features
      (5, 2, 14)
      >>> bool(jnp.allclose(ys[..., 8:], 1.0, atol=1e-2))  # a weighted mean of ones
      True
    """
    check_splits("attention", cell)
    if cell.num_feature_axes != 1:
        raise ValueError(
            "`attention` needs a cell for inputs (..., I), whose state is one vector to ask with, "
            f"and an input of {cell!r} has {cell.num_feature_axes} axes."
        )
    check_size("memory_size", memory_size)
    check_size("size", size)
    check_size("width", width)
    check_score(score, num_entries, feed_back)
    draw = Draw(memory_size, score, size, width, feed_back, kernel_init, score_init)

    def init(key, x):
        if feed_back:
            check_no_leaf_resets("attention", without_noise(x))
        cell_key, *keys = jax.random.split(key, 5)
        inner = cell.init(cell_key, x)
        h, u = _shapes(cell, inner, without_noise(x))
        return AttentionParams(inner, *draw(keys, h, _width(u) if feed_back else None))

    def init_carry(params, x):
        check_params(params, AttentionParams)
        carry = cell.init_carry(params.cell, x)
        if not feed_back:
            return carry
        batch, dtype = carry.h.shape[:-1], carry.h.dtype
        weights = jnp.zeros((*batch, num_entries), dtype) if score == "location" else None
        return AttentionCarry(carry, jnp.zeros((*batch, memory_size), dtype), weights)

    def build(params, context, inner):
        like = (num_entries or 1, memory_size), jax.tree.leaves(params)[0].dtype
        memory = context_field(context, "memory", example=jax.ShapeDtypeStruct(*like))
        mask = context_field(context, "memory_mask", optional=True)
        check_memory(memory, mask, memory_size, num_entries)
        if mask is not None:
            memory = select(mask, memory, jnp.zeros_like(memory))
        keys = memory if params.key is None else matmul(memory, params.key)
        scored = params.score, params.location, params.feed
        return Ready(inner(params.cell), params.query, keys, *scored, memory, mask)

    def noise(params, key, step, x):
        return cell.noise(params.cell, key, step, x)

    parts = _fed_back(cell) if feed_back else _read_after(cell)
    return Cell(
        init,
        init_carry,
        OfField(cell.project, "cell"),
        **parts,
        prepare=prepare_with(cell, build),
        noise=noise if cell.noise else None,
        reads_time=cell.reads_time,
    )


def _read_after(cell):
    def output(params, carry, u):
        y = cell.output(params.cell, carry, u)
        attended = attend(params, _query(params, carry.h), in_loop=False)
        return _joined(cell, y, attended)

    recur = nothing if cell.recur is nothing else OfField(cell.recur, "cell")
    return {"recur": recur, "update": OfField(cell.update, "cell"), "output": output}


def _fed_back(cell):
    def recur(params, carry):
        return cell.recur(params.cell, carry.carry), _query(params, carry.carry.h)

    def update(params, carry, u, v):
        v, query = v
        if params.location is None:
            attended, weights = attend(params, query, in_loop=True), None
        else:
            attended, weights = attend_from(params, query, carry.weights)
        u = u + matmul(attended, params.feed).astype(u.dtype)
        return AttentionCarry(cell.update(params.cell, carry.carry, u, v), attended, weights)

    def output(params, carry, u):
        y = cell.output(params.cell, carry.carry, u)
        return _joined(cell, y, carry.attended)

    return {"recur": recur, "update": update, "output": output}


def _joined(cell, y, attended):
    if not hasattr(y, "shape"):
        raise TypeError(
            f"`attention` appends what it reads to the output, which must be one array, and that "
            f"of {cell!r} is {jax.tree.map(describe, y)}. Wrap the other way around: "
            "`jaxrnn.emit_carry(jaxrnn.attention(...))`."
        )
    return jnp.concatenate([y, attended], axis=-1)


def _query(params, h):
    check_batch(params.memory, h.shape[:-1])
    return h.astype(sum_dtype(h.dtype)) if params.query is None else matmul(h, params.query)


def _shapes(cell, params, x):
    """The shapes of h and of u."""
    carry = jax.eval_shape(cell.init_carry, params, x)
    if not hasattr(carry, "h"):
        raise TypeError(
            f"`attention` needs a cell whose carry has a field `h`, got {describe(carry)}."
        )
    return carry.h, lambda: jax.eval_shape(cell.project, params, x)


def _width(u):
    u = u()
    if not hasattr(u, "shape"):
        raise TypeError(
            f"`feed_back` adds to what the cell projects, which must be one array, got "
            f"{describe(u)}."
        )
    return u.shape[-1]
