"""DeltaNet: linear attention by the delta rule."""

from typing import NamedTuple

import jax

from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import matmul
from jaxrnn._core.types import Cell, nothing
from jaxrnn.cells._gated import draw_each
from jaxrnn.cells._matrix_state import Access, Readout, delta_update, recall
from jaxrnn.cells._normalization import normalize
from jaxrnn.cells.linear._multihead import check_heads, joined, matrix_carry, project_heads
from jaxrnn.initializers import Initializer, glorot_uniform


class DeltaNetParams(NamedTuple):
    kernel: jax.Array  # (I, 3H), blocks q k v
    bias: jax.Array | None  # (3H,); None without a bias
    rate_kernel: jax.Array  # (I, N)


@constructor
def delta_net(
    hidden_size: int,
    num_heads: int,
    *,
    kernel_init: Initializer = glorot_uniform(3),
    bias_init: Initializer | None = None,
) -> Cell:
    """Linear attention that corrects what it holds at a key: the delta rule (DeltaNet).

        q, k, v = W x,  by heads; q and k by swish, divided by their lengths
        β = σ(W_β x)
        S' = S + β k (v - Sᵀ k)ᵀ
        y = norm(S'ᵀ q)

    Where `retention` adds a value to those that the key already has, this cell replaces them. The
    norm is a layer normalization of each head, without a gain. `jaxrnn.dense` after the cell is the
    output projection of the paper.

    Args:
      hidden_size: H, of the output.
      num_heads: N, which divides H; the state of a head is (H/N, H/N).
      kernel_init: draws `kernel` (I, 3H).
      bias_init: draws `bias` (3H,); None, as in the paper, for no bias.

    Returns:
      A `Cell` with parameters `DeltaNetParams` and carry `MatrixCarry`; its output is (..., H).

    Raises:
      ValueError, TypeError: a size is not a positive integer, or `num_heads` does not divide
        `hidden_size`.

    References: Schlag, Irie and Schmidhuber, 2021, "Linear transformers are secretly fast weight
    programmers"; Yang et al., 2024, "Parallelizing linear transformers with the delta rule over
    sequence length".

    Examples:
      >>> cell = jaxrnn.delta_net(8, 2)
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> carry, ys = jaxrnn.unroll(cell, params, None, xs)
      >>> carry.state.shape, ys.shape  # a matrix for each head
      ((2, 2, 4, 4), (5, 2, 8))
    """
    check_heads(hidden_size, num_heads)

    def init(key, x):
        features = x.shape[-1]
        parts = {
            "kernel": (kernel_init, (features, 3 * hidden_size)),
            "bias": (bias_init, (3 * hidden_size,)),
            "rate_kernel": (glorot_uniform(), (features, num_heads)),
        }
        return DeltaNetParams(*draw_each(key, x, **parts))

    def accesses(params, x):
        q, k, v = project_heads(params, x, num_heads, 3)
        rate = jax.nn.sigmoid(matmul(x, params.rate_kernel))[..., None]
        return Access(_unit(q), _unit(k), v, rate)

    init_carry = matrix_carry(DeltaNetParams, hidden_size, num_heads)
    return Cell(init, init_carry, accesses, nothing, delta_update, Readout(recall, _output))


def _unit(x):
    """Swish, divided by its length."""
    x = jax.nn.silu(x)
    return x * jax.lax.rsqrt((x * x).sum(-1, keepdims=True) + 1e-6)


def _output(params, recalled, extra):
    return joined(normalize(recalled)).astype(params.kernel.dtype)
