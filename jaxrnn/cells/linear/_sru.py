"""The simple recurrent unit (SRU)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_features, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import add_bias, matmul
from jaxrnn._core.types import Cell
from jaxrnn.activations import Activation
from jaxrnn.cells._affine import Affine
from jaxrnn.cells._gated import draw_each, lean_activations, zero_carry
from jaxrnn.cells.linear._linear import MemoryCarry, linear_cell
from jaxrnn.initializers import Initializer, glorot_uniform


class SRUParams(NamedTuple):
    kernel: jax.Array  # (I, 3H), gates z f r
    bias: jax.Array | None  # (2H,), of f r; None without a bias
    highway_kernel: jax.Array | None  # (I, H); None where I = H


@constructor
def sru(
    hidden_size: int,
    activation: Activation = jnp.tanh,
    *,
    kernel_init: Initializer = glorot_uniform(3),
    bias_init: Initializer = jax.nn.initializers.zeros,
    highway_kernel_init: Initializer = glorot_uniform(),
    use_bias: bool = True,
) -> Cell:
    """Simple recurrent unit, whose gates read the input alone (SRU, its first version).

        z, f, r = W x + b
        c' = σ(f) c + (1 - σ(f)) z
        y = σ(r) g(c') + (1 - σ(r)) V x

    V x is the highway: x itself where it has H features. In the second version both gates also read
    c, through a vector each, so that it is not linear in c and not parallel over time.

    Args:
      hidden_size: H.
      activation: element-wise, g.
      kernel_init: draws `kernel` (I, 3H).
      bias_init: draws `bias` (2H,).
      highway_kernel_init: draws `highway_kernel` (I, H), V, where I is not H.
      use_bias: whether there is a bias b, of f and r; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `SRUParams` and carry `MemoryCarry`; its output is y, (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, `use_bias` is not a bool, or
        `activation` is not a function.

    References: Lei, Zhang, Wang, Dai and Artzi, 2018, "Simple recurrent units for highly
    parallelizable recurrence"; the first version: Lei and Zhang, 2017, "Training RNNs as fast as
    CNNs".

    Examples:
      >>> model = jaxrnn.stack(jaxrnn.rnn(jaxrnn.sru(8)), jaxrnn.rnn(jaxrnn.sru(8)))
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> first, second = jax.eval_shape(model.init, jax.random.key(0), xs)
      >>> first.highway_kernel.shape, second.highway_kernel  # 8 features come in already
      ((4, 8), None)
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    (activation,) = lean_activations(activation=activation)

    def init(key, x):
        check_features(x)
        size = x.shape[-1]
        highway_init = None if size == hidden_size else highway_kernel_init
        parts = {
            "kernel": (kernel_init, (size, 3 * hidden_size)),
            "bias": (bias_init if use_bias else None, (2 * hidden_size,)),
            "highway_kernel": (highway_init, (size, hidden_size)),
        }
        return SRUParams(*draw_each(key, x, **parts))

    def coefficients(params, x):
        check_features(x, params.kernel.shape[0], params.kernel.dtype)
        z, f_and_r = jnp.split(matmul(x, params.kernel), [hidden_size], axis=-1)
        f, r = jnp.split(add_bias(f_and_r, params.bias), 2, axis=-1)
        a, b = jax.nn.sigmoid(f), jax.nn.sigmoid(-f) * z
        a, b = (MemoryCarry(part.astype(x.dtype)) for part in (a, b))
        kernel = params.highway_kernel
        highway = x.astype(r.dtype) if kernel is None else matmul(x, kernel)
        return Affine(a, b, (jax.nn.sigmoid(r), highway))

    def output(params, carry, u):
        r, highway = u.extra
        y = r * activation(carry.c.astype(r.dtype)) + (1 - r) * highway
        return y.astype(carry.c.dtype)

    init_carry = zero_carry(SRUParams, MemoryCarry, hidden_size)
    return linear_cell(init, init_carry, coefficients, output=output)
