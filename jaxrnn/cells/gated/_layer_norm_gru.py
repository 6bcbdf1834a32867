"""The gated recurrent unit with layer normalization."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_features, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import add_bias, matmul, over_rows, tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import HiddenCarry, draw_gates, recur, zero_carry
from jaxrnn.cells._normalization import normalize
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class LayerNormGRUParams(NamedTuple):
    kernel: jax.Array  # (I, 3H), gates r z n
    recurrent_kernel: jax.Array  # (H, 3H)
    bias: jax.Array | None  # (3H,); None without biases
    recurrent_bias: jax.Array | None  # (H,), d, of gate n, inside the product with r
    gain: jax.Array  # (3H,), α
    recurrent_gain: jax.Array  # (3H,), β


@constructor
def layer_norm_gru(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(3),
    recurrent_kernel_init: Initializer = orthogonal(3),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Gated recurrent unit with layer normalization.

        r, z = σ(α N(W_rz x) + β N(U_rz h) + b_rz)
        n = tanh(α_n N(W_n x) + b_n + r (β_n N(U_n h) + d))
        h' = z h + (1 - z) n

    N shifts and scales a vector to mean 0 and variance 1. As in the paper, gates r and z are
    normalized together, over 2H values, and gate n by itself, over H values.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` (I, 3H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 3H).
      bias_init: draws `bias` (3H,). Gains start from ones, `recurrent_bias` (H,) from zeros.
      use_bias: whether there are biases b and d; without them, both fields are None.

    Returns:
      A `Cell` with parameters `LayerNormGRUParams` and carry `HiddenCarry`; its output is h',
      (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, or `use_bias` is not a bool.

    References: Ba, Kiros and Hinton, 2016, "Layer normalization".

    Examples:
      >>> cell = jaxrnn.layer_norm_gru(8)
      >>> x = jax.random.normal(jax.random.key(0), (2, 4))  # (B, I)
      >>> params = cell.init(jax.random.key(1), x)
      >>> params.gain.shape, params.recurrent_gain.shape
      ((24,), (24,))
      >>> _, y = jaxrnn.step(cell, params, None, 10 * x)
      >>> _, same = jaxrnn.step(cell, params, None, 1000 * x)  # the scale of x does not matter
      >>> bool(jnp.allclose(y, same, atol=1e-2))
      True
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)

    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None

    def init(key, x):
        return LayerNormGRUParams(
            *draw_gates(key, x, hidden_size, 3, inits),
            recurrent_bias=jnp.zeros((hidden_size,), x.dtype) if use_bias else None,
            gain=jnp.ones((3 * hidden_size,), x.dtype),
            recurrent_gain=jnp.ones((3 * hidden_size,), x.dtype),
        )

    init_carry = zero_carry(LayerNormGRUParams, HiddenCarry, hidden_size)
    return Cell(init, init_carry, _project, recur, _update)


def _project(params, x):
    check_features(x, params.kernel.shape[0], params.kernel.dtype)
    gates = _normalized(matmul(x, params.kernel), params.gain, params.bias)
    return jnp.concatenate(gates, axis=-1)


@wide_update
def _update(params, carry, u, v, drop=lambda candidate: candidate):
    v_rz, v_n = _normalized(v, params.recurrent_gain, None)
    (u_r, u_z, u_n), (v_r, v_z) = jnp.split(u, 3, axis=-1), jnp.split(v_rz, 2, axis=-1)
    r = jax.nn.sigmoid(u_r + v_r)
    z = jax.nn.sigmoid(u_z + v_z)
    n = tanh(u_n + r * add_bias(v_n, params.recurrent_bias))
    h = z * carry.h + (1 - z) * drop(n)
    return HiddenCarry(h)


def _normalized(gates, gain, bias):
    """Gates (..., 3H), r and z normalized together and n by itself, with gains and biases."""
    at = [2 * (gates.shape[-1] // 3)]

    def parts(x):
        return (None, None) if x is None else jnp.split(x, at, axis=-1)

    each = zip(parts(gates), parts(gain), parts(bias), strict=True)
    return [add_bias(over_rows(gain, x) * normalize(x), bias) for x, gain, bias in each]
