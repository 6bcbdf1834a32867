"""The call of `jax.experimental.rnn`, with its own derivative rule, and a rule for `jax.vmap`."""

import functools
from typing import NamedTuple

import jax

from jaxrnn._core.loop import varying_like
from jaxrnn._core.types import Carry
from jaxrnn.engines.cudnn._weights import sizes
from jaxrnn.engines.kernel._folding import foldable

# TF32 multiplies by 10 bits of the mantissa, as XLA does by default on the GPUs that have it.
TF32, FULL = jax.lax.Precision.HIGH, jax.lax.Precision.HIGHEST
PRECISIONS = {
    None: TF32,
    "default": TF32,
    "high": TF32,
    "tensorfloat32": TF32,
    "TF32_TF32_F32": TF32,
    "highest": FULL,
    "float32": FULL,
    "F32_F32_F32": FULL,
}


class States(NamedTuple):
    """The first `lengths` steps of each row are real, 1 of them at least."""

    carry: Carry  # of h and c (B, H)
    lengths: jax.Array  # int32 (B,)


def call(weights: jax.Array, states: States, xs: jax.Array) -> tuple[Carry, jax.Array]:
    """Runs the LSTM.

    Args:
      weights: from `packed`.
      states: the carry before the first step, and how many steps each row has.
      xs: (T, B, I).

    Returns:
      The carry after the last step of each row, and h after each step, (T, B, H). Steps after the
      last hold nothing of use.

    Raises:
      ValueError: `jax.default_matmul_precision` asks for products that cuDNN does not have.
    """
    name = jax.config.jax_default_matmul_precision
    if name not in PRECISIONS:
        raise ValueError(
            "`implementation='cudnn'` has products in TF32 or float32, not in "
            f"`jax.default_matmul_precision({name!r})`: leave it at None, or take 'highest'."
        )
    # Within `jax.shard_map` a gradient of weights is summed over the devices where they are cast to
    # what varies between them, so all operands are.
    operands = varying_like((weights, states, xs), (weights, states, xs))
    return _lstm(PRECISIONS[name], *operands)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _lstm(precision, weights, states, xs):
    @foldable
    def forward(weights, states, xs):
        return _forward(precision, weights, states, xs)[0]

    return forward(weights, states, xs)


# What is kept for a gradient has no batch axis, and the gradient of the weights is a sum over the
# rows of a call. So a mapped axis cannot join the batch in these two.
def _lstm_fwd(precision, weights, states, xs):
    @jax.custom_batching.sequential_vmap
    def forward(weights, states, xs):
        return _forward(precision, weights, states, xs)

    return forward(weights, states, xs)


def _lstm_bwd(precision, residuals, cotangents):
    @jax.custom_batching.sequential_vmap
    def backward(residuals, dcarry, dys):
        return _backward(precision, residuals, dcarry, dys)

    dweights, dcarry, dx = backward(residuals, *cotangents)
    return dweights, States(dcarry, None), dx


_lstm.defvjp(_lstm_fwd, _lstm_bwd)


def _forward(precision, weights, states, xs):
    from jax.experimental import rnn

    h, c = (leaf[None] for leaf in states.carry)
    given = xs.swapaxes(0, 1), h, c, weights, states.lengths
    (ys, h, c), residuals = rnn.lstm_fwd(*given, **sizes(xs, h), precision=precision)
    ys = varying_like(xs, ys)  # `jax.experimental.rnn` does not say that they vary as xs do
    return (type(states.carry)(h[0], c[0]), ys.swapaxes(0, 1)), residuals


def _backward(precision, residuals, dcarry, dys):
    from jax.experimental import rnn

    x, *_ = residuals
    dh, dc = (dleaf[None] for dleaf in dcarry)
    options = *sizes(x, dh).values(), precision
    dx, dh, dc, dweights, _ = rnn.lstm_bwd(*options, residuals, (dys.swapaxes(0, 1), dh, dc))
    return dweights, type(dcarry)(dh[0], dc[0]), dx.swapaxes(0, 1)
