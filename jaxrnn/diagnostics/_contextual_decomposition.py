"""What a phrase adds to the state of an LSTM, beside the rest of the sequence."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_features, check_params, check_sequence
from jaxrnn._core.flags import check_flags
from jaxrnn._core.noise import batch_axes
from jaxrnn.cells import LSTMParams


class Decomposition(NamedTuple):
    """The outputs of an LSTM as a sum of two."""

    phrase: jax.Array  # (T, ..., H), from the phrase alone
    rest: jax.Array  # (T, ..., H), from all else, and from what the two do together


def contextual_decomposition(params: LSTMParams, xs: jax.Array, phrase: jax.Array) -> Decomposition:
    """Contextual decomposition of an LSTM: the part of its output that comes from a phrase.

    The two parts add up to the output of ``jaxrnn.lstm(H)``, so a linear readout of them adds up to
    the logit:

        parts = contextual_decomposition(params[0], xs, phrase)
        kernel, bias = params[1]
        parts.phrase[-1] @ kernel  # what the phrase adds
        parts.rest[-1] @ kernel + bias

    Args:
      params: of `jaxrnn.lstm` with its default activations. With ``use_bias=False``, the bias None
        counts as zeros.
      xs: inputs (T, ..., I), from the initial carry.
      phrase: bool, with any of the leading axes (T, ...) of `xs`: True for the steps of the phrase.

    Returns:
      A `Decomposition`.

    Raises:
      ValueError, TypeError: an argument of another shape or dtype.

    References: Murdoch, Liu and Yu, 2018, "Beyond word importance: contextual decomposition to
    extract interactions from LSTMs".

    Examples:
      >>> cell, xs = jaxrnn.lstm(4), jnp.ones((7, 2))
      >>> params = jaxrnn.cells.LSTMParams(jnp.ones((2, 16)), jnp.ones((4, 16)), jnp.zeros(16))
      >>> phrase = jnp.array([0, 0, 1, 1, 0, 0, 0], bool)  # steps 2 and 3
      >>> parts = jaxrnn.diagnostics.contextual_decomposition(params, xs, phrase)
      >>> carry, ys = jaxrnn.unroll(cell, params, None, xs)
      >>> bool(jnp.allclose(parts.phrase + parts.rest, ys, atol=1e-5))
      True
    """
    check_params(params, LSTMParams)
    check_sequence(xs)
    check_features(xs, params.kernel.shape[0], params.kernel.dtype)
    check_flags("phrase", phrase, xs)
    batch = batch_axes(xs)[1:]
    hidden_size = params.recurrent_kernel.shape[0]
    if params.bias is None:
        params = params._replace(bias=jnp.zeros_like(params.kernel[0]))
    zeros = jnp.zeros((*batch, hidden_size), xs.dtype)
    is_phrase = jnp.reshape(phrase, (*phrase.shape, *(1,) * (xs.ndim - phrase.ndim)))
    step = functools.partial(_step, params)
    _, outputs = jax.lax.scan(step, (zeros,) * 4, (xs, jnp.asarray(is_phrase)))
    return Decomposition(*outputs)


def _step(params, carry, step):
    """One step of the two parts (b, g) of h and of c, with the letters of the paper: β and γ."""
    kernel, recurrent_kernel, bias = params
    (h_b, h_g, c_b, c_g), (x, is_phrase) = carry, step
    from_x, zero = x @ kernel, jnp.zeros((), x.dtype)
    b = h_b @ recurrent_kernel + jnp.where(is_phrase, from_x, zero)
    g = h_g @ recurrent_kernel + jnp.where(is_phrase, zero, from_x)
    bias = jnp.broadcast_to(bias, b.shape)
    parts = zip(*(jnp.split(part, 4, axis=-1) for part in (b, g, bias)), strict=True)
    i, f, candidate, o = parts
    o = jax.nn.sigmoid(sum(o))
    i, f = _shares(jax.nn.sigmoid, *i), _shares(jax.nn.sigmoid, *f)
    new = _shares(jnp.tanh, *candidate)
    # The product of two biases belongs to whom the step belongs to.
    constant = i[2] * new[2]
    new_b = i[0] * (new[0] + new[2]) + i[2] * new[0] + jnp.where(is_phrase, constant, zero)
    all_new = sum(i) * sum(new)
    c_next_b = (f[0] + f[2]) * c_b + new_b
    c_next_g = sum(f) * (c_b + c_g) - (f[0] + f[2]) * c_b + all_new - new_b
    tanh_b, tanh_g = _shares(jnp.tanh, c_next_b, c_next_g, jnp.zeros_like(c_b))[:2]
    h = o * tanh_b, o * tanh_g
    return (*h, c_next_b, c_next_g), h


def _shares(function, b, g, bias):
    """A function of a sum as a sum of three: by the mean over both orders of adding b and g."""
    alone_b, alone_g = function(b + bias), function(g + bias)
    both, none = function(b + g + bias), function(bias)
    share_b = (alone_b - none + both - alone_g) / 2
    share_g = (alone_g - none + both - alone_b) / 2
    return share_b, share_g, none
