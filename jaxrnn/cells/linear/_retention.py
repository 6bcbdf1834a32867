"""Retention, the recurrence of RetNet."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.entry import constructor
from jaxrnn._core.types import Cell, nothing
from jaxrnn.cells._gated import draw_each
from jaxrnn.cells._matrix_state import Access, Readout, decaying_update, recall
from jaxrnn.cells.linear._multihead import check_heads, gated_output, matrix_carry, project_heads
from jaxrnn.initializers import Initializer, glorot_uniform


class RetentionParams(NamedTuple):
    kernel: jax.Array  # (I, 4H), blocks q k v g
    bias: jax.Array | None  # (4H,); None without a bias


@constructor
def retention(
    hidden_size: int,
    num_heads: int,
    *,
    kernel_init: Initializer = glorot_uniform(4),
    bias_init: Initializer | None = None,
) -> Cell:
    """Retention: linear attention that forgets at a fixed rate, one for each head (RetNet).

        q, k, v, g = W x,  k divided by sqrt(H/N), and by heads
        S' = γ S + k vᵀ,  γ = 1 - 2^(-5-n) for head n
        y = norm(S'ᵀ q) * swish(g)

    The norm is a layer normalization of each head, without a gain. There is no rotation of q and k
    by position; `jaxrnn.dense` after the cell is the output projection of the paper.

    Args:
      hidden_size: H, of the output.
      num_heads: N, which divides H; the state of a head is (H/N, H/N).
      kernel_init: draws `kernel` (I, 4H).
      bias_init: draws `bias` (4H,); None, as in the paper, for no bias.

    Returns:
      A `Cell` with parameters `RetentionParams` and carry `MatrixCarry`; its output is (..., H).

    Raises:
      ValueError, TypeError: a size is not a positive integer, or `num_heads` does not divide
        `hidden_size`.

    References: Sun et al., 2023, "Retentive network: a successor to transformer for large language
    models".

    Examples:
      >>> cell = jaxrnn.retention(8, 4)
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> params.kernel.shape, params.bias  # blocks q k v g
      ((4, 32), None)
      >>> carry, ys = jaxrnn.unroll(cell, params, None, xs)
      >>> carry.state.shape, ys.shape  # heads of 2 x 2
      ((2, 4, 2, 2), (5, 2, 8))
    """
    size = check_heads(hidden_size, num_heads)
    decays = tuple(1 - 2.0 ** (-5 - head) for head in range(num_heads))

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (x.shape[-1], 4 * hidden_size)),
            "bias": (bias_init, (4 * hidden_size,)),
        }
        return RetentionParams(*draw_each(key, x, **parts))

    def accesses(params, x):
        q, k, v, g = project_heads(params, x, num_heads, 4)
        gate = jnp.log(jnp.array(decays, k.dtype))[:, None]
        return Access(q, k * size**-0.5, v, jnp.broadcast_to(gate, (*k.shape[:-1], 1)), g)

    init_carry = matrix_carry(RetentionParams, hidden_size, num_heads)
    output = Readout(recall, gated_output)
    return Cell(init, init_carry, accesses, nothing, decaying_update, output)
