"""The recurrent network with an orthogonal kernel, by the scaled Cayley transform (scoRNN)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_features, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import matmul, over_rows, sum_dtype, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import HiddenCarry, draw_each, recur, zero_carry
from jaxrnn.initializers import Initializer, glorot_uniform, in_float32


class ScoRNNParams(NamedTuple):
    kernel: jax.Array  # (I, H)
    recurrent_kernel: jax.Array  # (H, H), K, from which the orthogonal kernel is made
    bias: jax.Array | None  # (H,), of modrelu; None for zeros


def _eigenvalues_on_the_circle(
    key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype
) -> jax.Array:
    """A kernel whose eigenvalues are spread over the unit circle, by blocks of two (Henaff et al.).

    Args:
      key: the random key.
      shape: (H, H).
      dtype: of the kernel.
    """
    size = shape[0]
    angles = jax.random.uniform(key, (size // 2,), sum_dtype(dtype), 0.0, jnp.pi / 2)
    values = (
        jnp.zeros((size,), angles.dtype)
        .at[0 : 2 * (size // 2) : 2]
        .set(jnp.sqrt((1 - jnp.cos(angles)) / (1 + jnp.cos(angles))))
    )
    return jnp.diag(values[:-1], 1).astype(dtype)


@constructor
def scornn(
    hidden_size: int,
    *,
    negative: int = 0,
    kernel_init: Initializer = glorot_uniform(),
    recurrent_kernel_init: Initializer = _eigenvalues_on_the_circle,
    bias_init: Initializer = in_float32(jax.nn.initializers.uniform(0.01)),
    use_bias: bool = True,
) -> Cell:
    """Recurrent network whose kernel is always orthogonal: its gradient keeps its length (scoRNN).

        A = K - Kᵀ
        U = (1 + A)⁻¹ (1 - A) D                    the scaled Cayley transform
        h' = modrelu(W x + U h) = sign(z) relu(|z| + b)

    D is diagonal: -1 for the first `negative` units and 1 for the rest. U is computed once per
    sequence. Train K with a tenth of the learning rate of the other parameters.

    Args:
      hidden_size: H.
      negative: the number of units with -1 in D: tune it, up to H / 2.
      kernel_init: draws `kernel` (I, H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, H), K.
      bias_init: draws `bias` (H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `ScoRNNParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, `negative` is not from 0 to H,
        or `use_bias` is not a bool.

    References: Helfrich, Willmott and Ye, 2018, "Orthogonal recurrent neural networks with scaled
    Cayley transform"; modrelu: Arjovsky, Shah and Bengio, 2016, "Unitary evolution recurrent neural
    networks".

    Examples:
      >>> cell = jaxrnn.scornn(8, negative=4)
      >>> params = cell.init(jax.random.key(0), jnp.ones((2, 4)))  # (B, I)
      >>> kernel = cell.prepare(params, None).recurrent_kernel  # U
      >>> bool(jnp.allclose(kernel @ kernel.T, jnp.eye(8), atol=1e-2))
      True
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    if negative not in range(hidden_size + 1):
        raise ValueError(f"`negative` must be from 0 to {hidden_size}, got {negative!r}.")

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (x.shape[-1], hidden_size)),
            "recurrent_kernel": (recurrent_kernel_init, (hidden_size, hidden_size)),
            "bias": (bias_init if use_bias else None, (hidden_size,)),
        }
        return ScoRNNParams(*draw_each(key, x, **parts))

    def prepare(params, context):
        kernel = params.recurrent_kernel.astype(sum_dtype(params.recurrent_kernel.dtype))
        signs = jnp.where(jnp.arange(hidden_size) < negative, -1, 1).astype(kernel.dtype)
        orthogonal = _cayley(kernel - kernel.T) * signs[None, :]
        # Rows are what the state multiplies: h U here is U h above.
        return params._replace(recurrent_kernel=orthogonal.T.astype(params.kernel.dtype))

    init_carry = zero_carry(ScoRNNParams, HiddenCarry, hidden_size)
    return Cell(init, init_carry, _project, recur, _update, prepare=prepare)


@jax.custom_jvp
def _cayley(skew):
    """(1 + A)⁻¹ (1 - A) = 2 (1 + A)⁻¹ - 1, by 1 + A = Q R: compiled in half the time of an LU."""
    one = jnp.eye(len(skew), dtype=skew.dtype)
    q, r = jax.lax.linalg.qr(one + skew, full_matrices=False)
    return 2 * jax.lax.linalg.triangular_solve(r, q.T, left_side=True) - one


@_cayley.defjvp
def _cayley_jvp(primals, tangents):
    """d W = -1/2 (1 + W) dA (1 + W), so that the derivative factors nothing."""
    orthogonal = _cayley(*primals)
    total = orthogonal + jnp.eye(len(orthogonal), dtype=orthogonal.dtype)
    return orthogonal, matmul(matmul(total, tangents[0]), total) / -2


def _project(params, x):
    check_features(x, params.kernel.shape[0], params.kernel.dtype)
    return matmul(x, params.kernel)


@wide_update
def _update(params, carry, u, v):
    z = u + v
    bias = 0 if params.bias is None else over_rows(params.bias, z)
    return HiddenCarry(jnp.sign(z) * jax.nn.relu(jnp.abs(z) + bias))
