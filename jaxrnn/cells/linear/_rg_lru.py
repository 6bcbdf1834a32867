"""The real-gated linear recurrent unit (RG-LRU, of Griffin)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_features, check_positive, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import over_rows, softplus
from jaxrnn._core.types import Cell
from jaxrnn.cells._affine import Affine
from jaxrnn.cells._gated import HiddenCarry, draw_each, project, zero_carry
from jaxrnn.cells.linear._linear import linear_cell
from jaxrnn.initializers import Initializer, glorot_uniform, in_float32


class RGLRUParams(NamedTuple):
    kernel: jax.Array  # (H, 2H), gates r i
    bias: jax.Array  # (2H,)
    decay: jax.Array  # (H,), Λ


@constructor
def rg_lru(
    hidden_size: int,
    *,
    scale: float = 8.0,
    kernel_init: Initializer = glorot_uniform(2),
    bias_init: Initializer = jax.nn.initializers.zeros,
) -> Cell:
    """Real-gated linear recurrent unit: each unit chooses how much it forgets (RG-LRU, of Griffin).

        r, i = σ(W x + b)
        a = exp(-c softplus(Λ) r)
        h' = a h + sqrt(1 - a²) (i x)

    Its inputs have as many features as it has units: put a `jaxrnn.dense` before it. At the start,
    a at r = 1 is spread from 0.9 to 0.999.

    Args:
      hidden_size: H.
      scale: c, above 0.
      kernel_init: draws `kernel` (H, 2H).
      bias_init: draws `bias` (2H,).

    Returns:
      A `Cell` for inputs (..., H), with parameters `RGLRUParams` and carry `HiddenCarry`; its
      output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, `scale` is not a number above
        0, or the inputs have another number of features.

    References: De et al., 2024, "Griffin: mixing gated linear recurrences with local attention for
    efficient language models".

    Examples:
      >>> layer = jaxrnn.stack(jaxrnn.dense(8), jaxrnn.rnn(jaxrnn.rg_lru(8)))
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = jax.eval_shape(layer.init, jax.random.key(0), xs)
      >>> params[1].kernel.shape  # gates r i; no recurrent kernel
      (8, 16)
      >>> jax.eval_shape(layer.apply, params, None, xs)[1].shape
      (5, 2, 8)
    """
    check_size("hidden_size", hidden_size)
    scale = check_positive("scale", scale)

    @in_float32
    def decay_init(key, shape, dtype):
        """Λ such that a² at r = 1 is drawn evenly from 0.9² to 0.999²."""
        squares = jax.random.uniform(key, shape, dtype, 0.9**2, 0.999**2)
        return jnp.log(jnp.expm1(-jnp.log(squares) / (2 * scale)))

    def init(key, x):
        check_features(x, hidden_size)
        parts = {
            "kernel": (kernel_init, (hidden_size, 2 * hidden_size)),
            "bias": (bias_init, (2 * hidden_size,)),
            "decay": (decay_init, (hidden_size,)),
        }
        return RGLRUParams(*draw_each(key, x, **parts))

    def coefficients(params, x):
        r, i = jnp.split(jax.nn.sigmoid(project(params, x)), 2, axis=-1)
        log_a = -scale * softplus(over_rows(params.decay, r)) * r
        b = jnp.sqrt(-jnp.expm1(2 * log_a)) * i * x.astype(i.dtype)
        return Affine(*(HiddenCarry(part.astype(x.dtype)) for part in (jnp.exp(log_a), b)))

    return linear_cell(init, zero_carry(RGLRUParams, HiddenCarry, hidden_size), coefficients)
