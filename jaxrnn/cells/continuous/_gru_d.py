"""The GRU with decay, for series with missing values (GRU-D)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_features, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import add_bias, affine, matmul, over_rows, sum_dtype, tanh, wide_update
from jaxrnn._core.timed import features, gaps
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import draw_each, zero_carry
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class GRUDParams(NamedTuple):
    kernel: jax.Array  # (I, 3H), gates r z n, of the values
    observed_kernel: jax.Array  # (I, 3H), V, for the flags that say which values are observed
    recurrent_kernel: jax.Array  # (H, 3H)
    bias: jax.Array  # (3H,)
    value_decay: jax.Array  # (I,)
    value_decay_bias: jax.Array  # (I,)
    state_decay_kernel: jax.Array  # (I, H)
    state_decay_bias: jax.Array  # (H,)


class GRUDCarry(NamedTuple):
    h: jax.Array  # (..., H)
    last: jax.Array  # (..., I), the last value seen of each feature
    missing: jax.Array  # (..., I), the time since then; 0 where the step before had a value


class _Inputs(NamedTuple):
    values: jax.Array  # (..., I), 0 where missing
    observed: jax.Array  # (..., I), 1 where there is a value, and 0 where there is none
    dt: jax.Array  # (..., 1)
    gates: jax.Array  # (..., 3H), what does not depend on the carry
    decay: jax.Array  # (..., H), the same of the decay


@constructor
def gru_d(
    hidden_size: int,
    *,
    kernel_init: Initializer = glorot_uniform(3),
    recurrent_kernel_init: Initializer = orthogonal(3),
    bias_init: Initializer = jax.nn.initializers.zeros,
    value_decay_init: Initializer = jax.nn.initializers.constant(0.1),
    state_decay_init: Initializer = glorot_uniform(),
) -> Cell:
    """GRU with decay, for series in which values are missing, at irregular times (GRU-D).

        δ = Δt + time since the feature was last seen, before this step
        x* = x where it was seen, else exp(-max(0, a δ + b)) times its last value
        h* = exp(-max(0, D δ + d)) h
        r, z = σ(W x* + V m + U h* + b)                m = 1 where x was seen, else 0
        n = tanh(W x* + V m + U (r h*) + b)
        h' = (1 - z) h* + z n

    **A missing value is NaN.** What is missing for long decays to 0, so make 0 the mean of each
    feature. The last values are part of the carry, so a stream goes on where it stopped. Before the
    first value of a feature, its last value is 0.

    Args:
      hidden_size: H.
      kernel_init: draws `kernel` and `observed_kernel`, each (I, 3H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 3H).
      bias_init: draws `bias` (3H,).
      value_decay_init: draws `value_decay` (I,), per unit of time. Both biases of decay start at 0.
      state_decay_init: draws `state_decay_kernel` (I, H).

    Returns:
      A `Cell` for inputs `jaxrnn.Timed`, with parameters `GRUDParams` and carry `GRUDCarry`; its
      output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer.

    References: Che, Purushotham, Cho, Sontag and Liu, 2018, "Recurrent neural networks for
    multivariate time series with missing values".

    Examples:
      >>> layer = jaxrnn.rnn(jaxrnn.gru_d(8))
      >>> xs = jnp.ones((3, 4)).at[1:, 0].set(jnp.nan)  # (T, I): feature 0 is seen once
      >>> xs = jaxrnn.Timed(xs, jnp.array([0.0, 2.0, 0.5]))
      >>> params = layer.init(jax.random.key(0), xs)
      >>> carry, ys = layer.apply(params, None, xs)
      >>> carry.last.tolist(), carry.missing.tolist()  # the last values, and the time since
      ([1.0, 1.0, 1.0, 1.0], [2.5, 0.0, 0.0, 0.0])
    """
    check_size("hidden_size", hidden_size)

    def init(key, x):
        size, width = features(x).shape[-1], 3 * hidden_size
        zeros = jax.nn.initializers.zeros
        parts = {
            "kernel": (kernel_init, (size, width)),
            "observed_kernel": (kernel_init, (size, width)),
            "recurrent_kernel": (recurrent_kernel_init, (hidden_size, width)),
            "bias": (bias_init, (width,)),
            "value_decay": (value_decay_init, (size,)),
            "value_decay_bias": (zeros, (size,)),
            "state_decay_kernel": (state_decay_init, (size, hidden_size)),
            "state_decay_bias": (zeros, (hidden_size,)),
        }
        return GRUDParams(*draw_each(key, x, **parts))

    def init_carry(params, x):
        size = features(x).shape[-1]
        return zero_carry(GRUDParams, GRUDCarry, hidden_size, size, size)(params, x)

    return Cell(init, init_carry, _project, _recur, update, reads_time=True)


def _project(params, x):
    kernel = params.kernel
    check_features(x.x, kernel.shape[0], kernel.dtype)
    wide = sum_dtype(kernel.dtype)
    is_missing = jnp.isnan(x.x)
    values = jnp.where(is_missing, 0, x.x).astype(wide)
    observed = 1 - is_missing.astype(kernel.dtype)
    gates = affine(observed, params.observed_kernel, params.bias)
    dt = gaps(x, wide)
    reach = params.state_decay_kernel.astype(wide).sum(0)
    decay = add_bias(dt * over_rows(reach, dt), params.state_decay_bias)
    return _Inputs(values, observed.astype(wide), dt, gates, decay)


def _recur(params, carry):
    return matmul(carry.missing, params.state_decay_kernel)


@wide_update
def update(params, carry, u, v):
    narrow = params.kernel.dtype
    gap = u.dt + carry.missing
    fades = over_rows(params.value_decay, gap) * gap + over_rows(params.value_decay_bias, gap)
    last = carry.last * jnp.exp(-jax.nn.relu(fades))
    values = jnp.where(u.observed > 0, u.values, last)
    h = carry.h * jnp.exp(-jax.nn.relu(u.decay + v))
    to_gates, to_candidate = jnp.split(params.recurrent_kernel, [2 * h.shape[-1]], axis=-1)
    gates, n = jnp.split(
        u.gates + matmul(values.astype(narrow), params.kernel), [2 * h.shape[-1]], axis=-1
    )
    r, z = jnp.split(jax.nn.sigmoid(gates + matmul(h.astype(narrow), to_gates)), 2, axis=-1)
    n = tanh(n + matmul((r * h).astype(narrow), to_candidate))
    seen = jnp.where(u.observed > 0, u.values, carry.last)
    return GRUDCarry((1 - z) * h + z * n, seen, (1 - u.observed) * gap)
