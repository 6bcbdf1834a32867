"""The hierarchically gated recurrent network (HGRN)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_features, check_params, check_rate, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import affine, over_rows
from jaxrnn._core.types import Cell
from jaxrnn.cells._affine import Affine
from jaxrnn.cells._gated import draw_each, project
from jaxrnn.cells._normalization import normalize
from jaxrnn.cells.linear._linear import linear_cell
from jaxrnn.cells.linear._state_space import StateCarry, complex_dtype
from jaxrnn.initializers import Initializer, glorot_uniform, in_float32


class HGRNParams(NamedTuple):
    kernel: jax.Array  # (I, 5H), the real and the imaginary candidate, f, and two output gates
    bias: jax.Array | None  # (5H,); None without a bias
    phase: jax.Array  # (H,), θ
    output_kernel: jax.Array  # (2H, H)
    output_bias: jax.Array | None  # (H,); None without a bias


@in_float32
def _phases(key, shape, dtype):
    """From one radian a step down to almost none, as of the positions of a transformer."""
    (size,) = shape
    return 10000.0 ** (-2 / size * jnp.arange(size, dtype=dtype))


@constructor
def hgrn(
    hidden_size: int,
    *,
    lower_bound: float = 0.0,
    kernel_init: Initializer = glorot_uniform(5),
    bias_init: Initializer = jax.nn.initializers.zeros,
    phase_init: Initializer = _phases,
    output_kernel_init: Initializer = glorot_uniform(),
    output_bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Hierarchically gated recurrent network: a complex state that forgets at most so much (HGRN).

        p, q, f, o = W x + b
        λ = γ + (1 - γ) σ(f)
        s' = λ exp(iθ) s + (1 - λ) (silu(p) + i silu(q))
        y = V norm(σ(o) [Re s', Im s']) + d

    Raise γ from layer to layer, so that upper layers remember for longer. The paper learns one for
    each layer. The gain and the bias of its layer normalization are part of V and d here.

    Args:
      hidden_size: H.
      lower_bound: γ, the least that is kept of the state, in [0, 1).
      kernel_init: draws `kernel` (I, 5H).
      bias_init: draws `bias` (5H,).
      phase_init: draws `phase` (H,), θ in radians; from 1 down to almost 0 by default.
      output_kernel_init: draws `output_kernel` (2H, H), V.
      output_bias_init: draws `output_bias` (H,), d.
      use_bias: whether there are biases b and d; without them, both are None.

    Returns:
      A `Cell` with parameters `HGRNParams` and carry `StateCarry` (..., H); its output is y,
      (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, `lower_bound` is not in
        [0, 1), or `use_bias` is not a bool.

    References: Qin, Yang and Zhong, 2023, "Hierarchically gated recurrent neural network for
    sequence modeling".

    Examples:
      >>> cell = jaxrnn.hgrn(8, lower_bound=0.9)
      >>> xs = jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = jax.eval_shape(cell.init, jax.random.key(0), xs[0])
      >>> carry, ys = jax.eval_shape(jaxrnn.rnn(cell).apply, params, None, xs)
      >>> carry.state.shape, carry.state.dtype, ys.shape
      ((2, 8), dtype('complex64'), (5, 2, 8))
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    lower_bound = check_rate("lower_bound", lower_bound)

    def init(key, x):
        parts = {
            "kernel": (kernel_init, (x.shape[-1], 5 * hidden_size)),
            "bias": (bias_init if use_bias else None, (5 * hidden_size,)),
            "phase": (phase_init, (hidden_size,)),
            "output_kernel": (output_kernel_init, (2 * hidden_size, hidden_size)),
            "output_bias": (output_bias_init if use_bias else None, (hidden_size,)),
        }
        return HGRNParams(*draw_each(key, x, **parts))

    def init_carry(params, x):
        check_params(params, HGRNParams)
        check_features(x)
        dtype = complex_dtype(params.kernel.dtype)
        return StateCarry(jnp.zeros((*x.shape[:-1], hidden_size), dtype))

    def coefficients(params, x):
        p, q, f, o = jnp.split(project(params, x), [k * hidden_size for k in (1, 2, 3)], axis=-1)
        kept = lower_bound + (1 - lower_bound) * jax.nn.sigmoid(f)
        new = (1 - lower_bound) * jax.nn.sigmoid(-f)
        angle = over_rows(params.phase, f)
        a = jax.lax.complex(kept * jnp.cos(angle), kept * jnp.sin(angle))
        b = jax.lax.complex(new * jax.nn.silu(p), new * jax.nn.silu(q))
        return Affine(StateCarry(a), StateCarry(b), jax.nn.sigmoid(o))

    return linear_cell(init, init_carry, coefficients, output=_output)


def _output(params, carry, u):
    parts = u.extra * jnp.concatenate([carry.state.real, carry.state.imag], axis=-1)
    dtype = params.output_kernel.dtype
    normal = normalize(parts).astype(dtype)
    return affine(normal, params.output_kernel, params.output_bias).astype(dtype)
