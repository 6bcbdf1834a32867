"""Gated linear attention (GLA)."""

from typing import NamedTuple

import jax

from jaxrnn._core.checks import check_positive, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import affine, matmul
from jaxrnn._core.types import Cell, nothing
from jaxrnn.cells._gated import draw_each
from jaxrnn.cells._matrix_state import Access, Readout, decaying_update, recall
from jaxrnn.cells.linear._multihead import (
    by_heads,
    check_heads,
    gated_output,
    matrix_carry,
    project_heads,
)
from jaxrnn.initializers import Initializer, glorot_uniform


class GatedLinearAttentionParams(NamedTuple):
    kernel: jax.Array  # (I, 4H), blocks q k v g
    bias: jax.Array  # (4H,)
    decay_kernel: jax.Array  # (I, R)
    decay_up_kernel: jax.Array  # (R, H)
    decay_bias: jax.Array  # (H,)


@constructor
def gated_linear_attention(
    hidden_size: int,
    num_heads: int,
    *,
    decay_rank: int = 16,
    temperature: float = 16.0,
    kernel_init: Initializer = glorot_uniform(4),
    bias_init: Initializer = jax.nn.initializers.zeros,
) -> Cell:
    """Linear attention whose state forgets row by row, as the input says (GLA).

        q, k, v, g = W x + b,  q divided by sqrt(H/N), and by heads
        α = σ(W_2 W_1 x + b_α)^(1/τ)
        S' = diag(α) S + k vᵀ
        y = norm(S'ᵀ q) * swish(g)

    The norm is a layer normalization of each head, without a gain. `jaxrnn.dense` after the cell is
    the output projection of the paper.

    Args:
      hidden_size: H, of the output.
      num_heads: N, which divides H; the state of a head is (H/N, H/N).
      decay_rank: R, of the kernel of the decays.
      temperature: τ; a large one keeps decays near 1.
      kernel_init: draws `kernel` (I, 4H).
      bias_init: draws `bias` (4H,).

    Returns:
      A `Cell` with parameters `GatedLinearAttentionParams` and carry `MatrixCarry`; its output is
      (..., H).

    Raises:
      ValueError, TypeError: a size is not a positive integer, `num_heads` does not divide
        `hidden_size`, or `temperature` is not positive.

    References: Yang et al., 2024, "Gated linear attention transformers with hardware-efficient
    training".

    Examples:
      >>> cell = jaxrnn.gated_linear_attention(8, 2, decay_rank=3)
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = jax.eval_shape(cell.init, jax.random.key(0), xs[0])
      >>> params.decay_kernel.shape, params.decay_up_kernel.shape
      ((4, 3), (3, 8))
      >>> carry, ys = jax.eval_shape(jaxrnn.rnn(cell).apply, params, None, xs)
      >>> carry.state.shape, ys.shape
      ((2, 2, 4, 4), (5, 2, 8))
    """
    size = check_heads(hidden_size, num_heads)
    check_size("decay_rank", decay_rank)
    temperature = check_positive("temperature", temperature)

    def init(key, x):
        features = x.shape[-1]
        parts = {
            "kernel": (kernel_init, (features, 4 * hidden_size)),
            "bias": (bias_init, (4 * hidden_size,)),
            "decay_kernel": (glorot_uniform(), (features, decay_rank)),
            "decay_up_kernel": (glorot_uniform(), (decay_rank, hidden_size)),
            "decay_bias": (jax.nn.initializers.zeros, (hidden_size,)),
        }
        return GatedLinearAttentionParams(*draw_each(key, x, **parts))

    def accesses(params, x):
        q, k, v, g = project_heads(params, x, num_heads, 4)
        low = matmul(x, params.decay_kernel).astype(x.dtype)
        decay = affine(low, params.decay_up_kernel, params.decay_bias)
        gate = by_heads(jax.nn.log_sigmoid(decay) / temperature, num_heads)
        return Access(q * size**-0.5, k, v, gate, g)

    init_carry = matrix_carry(GatedLinearAttentionParams, hidden_size, num_heads)
    output = Readout(recall, gated_output)
    return Cell(init, init_carry, accesses, nothing, decaying_update, output)
