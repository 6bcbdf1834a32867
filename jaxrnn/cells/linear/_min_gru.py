"""The minimal GRU that is parallel over time (minGRU)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.types import Cell
from jaxrnn.activations import Activation
from jaxrnn.cells._affine import Affine
from jaxrnn.cells._gated import HiddenCarry, draw_each, lean_activations, project, zero_carry
from jaxrnn.cells.linear._linear import linear_cell, positive
from jaxrnn.initializers import Initializer, glorot_uniform


class MinGRUParams(NamedTuple):
    kernel: jax.Array  # (I, 2H), gates z n
    bias: jax.Array | None  # (2H,); None without a bias


@constructor
def min_gru(
    hidden_size: int,
    activation: Activation = positive,
    *,
    kernel_init: Initializer = glorot_uniform(2),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Minimal GRU whose gates do not read the state, so that it is parallel over time (minGRU).

        z, n = W x + b
        h' = (1 - σ(z)) h + σ(z) g(n)

    As few weights as a GRU has for its inputs, without any between units: put several layers on top
    of each other. g is x + 1/2 from 0 on, and σ below.

    Args:
      hidden_size: H.
      activation: element-wise, g.
      kernel_init: draws `kernel` (I, 2H).
      bias_init: draws `bias` (2H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `MinGRUParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, `use_bias` is not a bool, or
        `activation` is not a function.

    References: Feng, Tung, Ahmed, Bengio and Hajimirsadeghi, 2024, "Were RNNs all we needed?".

    Examples:
      >>> cell = jaxrnn.min_gru(8)
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> _, ys = jaxrnn.unroll(cell, params, None, xs, implementation="scan")
      >>> _, same = jaxrnn.unroll(cell, params, None, xs, implementation="associative")
      >>> bool(jnp.allclose(ys, same, atol=1e-3))  # step by step, and in parallel
      True
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    (activation,) = lean_activations(activation=activation)

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (x.shape[-1], 2 * hidden_size)),
            "bias": (bias_init if use_bias else None, (2 * hidden_size,)),
        }
        return MinGRUParams(*draw_each(key, x, **parts))

    def coefficients(params, x):
        z, n = jnp.split(project(params, x), 2, axis=-1)
        a, b = jax.nn.sigmoid(-z), jax.nn.sigmoid(z) * activation(n)
        return Affine(*(HiddenCarry(part.astype(params.kernel.dtype)) for part in (a, b)))

    return linear_cell(init, zero_carry(MinGRUParams, HiddenCarry, hidden_size), coefficients)
