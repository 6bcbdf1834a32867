"""The LSTM with a matrix memory (mLSTM)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_features, check_params
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import affine
from jaxrnn._core.types import Cell, nothing
from jaxrnn.cells._gated import draw_each
from jaxrnn.cells._matrix_state import (
    Access,
    LogGates,
    Readout,
    StabilizedCarry,
    recall_normalized,
    stabilized_update,
)
from jaxrnn.cells.linear._multihead import check_heads, joined, project_heads
from jaxrnn.initializers import Initializer, glorot_uniform


class MLSTMParams(NamedTuple):
    kernel: jax.Array  # (I, 4H), blocks q k v o
    bias: jax.Array  # (4H,)
    gate_kernel: jax.Array  # (I, 2N), gates i f
    gate_bias: jax.Array  # (2N,)


def _open_forget(key, shape, dtype=jnp.float32):
    """0 for input gates, and from 3 to 6 for the forget gates of the heads."""
    heads = shape[0] // 2
    return jnp.concatenate([jnp.zeros(heads, dtype), jnp.linspace(3, 6, heads, dtype=dtype)])


@constructor
def mlstm(
    hidden_size: int,
    num_heads: int,
    *,
    kernel_init: Initializer = glorot_uniform(4),
    bias_init: Initializer = jax.nn.initializers.zeros,
    gate_kernel_init: Initializer = jax.nn.initializers.zeros,
    gate_bias_init: Initializer = _open_forget,
) -> Cell:
    """LSTM whose memory is a matrix for each head, with exponential input gates (mLSTM, of xLSTM).

        q, k, v, o = W x + b,  k divided by sqrt(H/N), and by heads
        i, f = W_g x + b_g,  a number for each head
        C' = σ(f) C + exp(i) k vᵀ
        n' = σ(f) n + exp(i) k
        y = σ(o) * C'ᵀ q / max(|n'·q|, 1)

    The state is kept divided by the largest of its exponentials, so none overflows. No gate reads
    the state, so the cell is parallel over time.

    Args:
      hidden_size: H, of the output.
      num_heads: N, which divides H; the memory of a head is (H/N, H/N).
      kernel_init: draws `kernel` (I, 4H).
      bias_init: draws `bias` (4H,).
      gate_kernel_init: draws `gate_kernel` (I, 2N).
      gate_bias_init: draws `gate_bias` (2N,); by default 0 for i, and evenly from 3 to 6 for the f
        of the heads.

    Returns:
      A `Cell` with parameters `MLSTMParams` and carry `StabilizedCarry`; its output is (..., H).

    Raises:
      ValueError, TypeError: a size is not a positive integer, or `num_heads` does not divide
        `hidden_size`.

    References: Beck et al., 2024, "xLSTM: extended long short-term memory".

    Examples:
      >>> cell = jaxrnn.mlstm(8, 2)
      >>> params = cell.init(jax.random.key(0), jnp.ones((3, 4)))  # (B, I)
      >>> params.gate_bias.tolist()  # i of both heads, f of both heads
      [0.0, 0.0, 3.0, 6.0]
      >>> carry = cell.init_carry(params, jnp.ones((3, 4)))
      >>> carry.state.shape, carry.normalizer.shape, carry.log_scale.shape
      ((3, 2, 4, 4), (3, 2, 4), (3, 2))
    """
    size = check_heads(hidden_size, num_heads)

    def init(key, x):
        features = x.shape[-1]
        parts = {
            "kernel": (kernel_init, (features, 4 * hidden_size)),
            "bias": (bias_init, (4 * hidden_size,)),
            "gate_kernel": (gate_kernel_init, (features, 2 * num_heads)),
            "gate_bias": (gate_bias_init, (2 * num_heads,)),
        }
        return MLSTMParams(*draw_each(key, x, **parts))

    def init_carry(params, x):
        check_params(params, MLSTMParams)
        check_features(x)
        batch, dtype = (*x.shape[:-1], num_heads), params.kernel.dtype
        state = jnp.zeros((*batch, size, size), dtype)
        return StabilizedCarry(state, jnp.zeros((*batch, size), dtype), jnp.zeros(batch, dtype))

    def accesses(params, x):
        q, k, v, o = project_heads(params, x, num_heads, 4)
        i, f = jnp.split(affine(x, params.gate_kernel, params.gate_bias), 2, axis=-1)
        return Access(q, k * size**-0.5, v, LogGates(i, jax.nn.log_sigmoid(f)), o)

    output = Readout(recall_normalized, _output)
    return Cell(init, init_carry, accesses, nothing, stabilized_update, output)


def _output(params, recalled, o):
    return joined(jax.nn.sigmoid(o) * recalled).astype(params.kernel.dtype)
