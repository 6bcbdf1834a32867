"""The continuous-time recurrent network, or leaky integrator."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_positive, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.noise import noisy
from jaxrnn._core.numerics import wide_update
from jaxrnn._core.types import Cell
from jaxrnn.activations import Activation
from jaxrnn.cells._gated import HiddenCarry, lean_activations, of_gates
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal


class CTRNNParams(NamedTuple):
    kernel: jax.Array  # (I, H)
    recurrent_kernel: jax.Array  # (H, H), from the units of its rows
    bias: jax.Array | None  # (H,); None without a bias


@constructor
def ctrnn(
    hidden_size: int,
    activation: Activation = jnp.tanh,
    *,
    alpha: float = 0.2,
    noise: float = 0.0,
    excitatory: int | None = None,
    connections: tuple[tuple[bool, ...], ...] | None = None,
    kernel_init: Initializer = glorot_uniform(),
    recurrent_kernel_init: Initializer = orthogonal(),
    bias_init: Initializer = jax.nn.initializers.zeros,
    use_bias: bool = True,
) -> Cell:
    """Continuous-time recurrent network, or leaky integrator, in steps of α = Δt/τ (CTRNN).

        h' = (1 - α) h + α activation(W x + U h + b + ξ)

    ξ is noise with a standard deviation of sqrt(2/α) times `noise`, drawn at each step if the layer
    is given a key, and 0 without one. For models of brains: `excitatory` is Dale's law, by which a
    unit only excites or only inhibits, and `connections` says which units are connected. Both hold
    whatever is learned: U is |U|, times -1 for the units that inhibit, and 0 where there is no
    connection.

    Args:
      hidden_size: H.
      activation: element-wise, such as `jnp.tanh` or `jax.nn.relu`.
      alpha: α, the time step over the time constant, above 0 and at most 1.
      noise: the standard deviation of the noise in h that comes of it, about; 0 or more. Without a
        key there is none.
      excitatory: the number of units that excite, which come first; the others inhibit. None means
        that a unit may do both.
      connections: for each unit a tuple that says for each unit whether it reads the first one,
        (H, H): ``tuple(map(tuple, mask.tolist()))`` of an array. None means all.
      kernel_init: draws `kernel` (I, H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, H).
      bias_init: draws `bias` (H,).
      use_bias: whether there is a bias b; without one, `bias` is None.

    Returns:
      A `Cell` with parameters `CTRNNParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: `hidden_size` is not a positive integer, `alpha` is not above 0 and at
        most 1, `noise` is below 0, `excitatory` is not from 0 to H, or `connections` are not H
        tuples of H bools.

    References: Jaeger, Lukoševičius, Popovici and Siewert, 2007, "Optimization and applications of
    echo state networks with leaky-integrator neurons"; Song, Yang and Wang, 2016, "Training
    excitatory-inhibitory recurrent neural networks for cognitive tasks"; with noise: Yang,
    Joglekar, Song, Newsome and Wang, 2019, "Task representations in neural networks trained to
    perform many cognitive tasks".

    Examples:
      >>> cell = jaxrnn.ctrnn(8, alpha=0.2, excitatory=6)
      >>> params = cell.init(jax.random.key(0), jnp.ones((2, 4)))  # (B, I)
      >>> kernel = cell.prepare(params, None).recurrent_kernel  # what the loop reads
      >>> bool((kernel[:6] >= 0).all()), bool((kernel[6:] <= 0).all())
      (True, True)
    """
    check_size("hidden_size", hidden_size)
    check_bool("use_bias", use_bias)
    if (alpha := check_positive("alpha", alpha)) > 1:
        raise ValueError(f"`alpha` must be at most 1, got {alpha}.")
    if noise != 0:
        noise = check_positive("noise", noise)
    _check_units(hidden_size, excitatory, connections)
    (activation,) = lean_activations(activation=activation)

    def prepare(params, context):
        kernel = params.recurrent_kernel
        if excitatory is not None:
            is_excitatory = jnp.arange(hidden_size)[:, None] < excitatory
            kernel = jnp.where(is_excitatory, jnp.abs(kernel), -jnp.abs(kernel))
        if connections is not None:
            kernel = jnp.where(jnp.array(connections), kernel, 0)
        return params._replace(recurrent_kernel=kernel)

    @wide_update
    def update(params, carry, u, v, drop=lambda candidate: candidate):
        return HiddenCarry((1 - alpha) * carry.h + alpha * drop(activation(u + v)))

    def draw(params, key, step, x):
        xi = jax.random.normal(jax.random.fold_in(key, step), (hidden_size,), jnp.float32)
        return (2 / alpha) ** 0.5 * noise * xi

    def disturbed(params, carry, u, v, xi):
        return update(params, carry, u if xi is None else u + xi.astype(u.dtype), v)

    inits = kernel_init, recurrent_kernel_init, bias_init if use_bias else None
    cell = of_gates(CTRNNParams, HiddenCarry, hidden_size, 1, inits, update)
    cell = cell._replace(prepare=prepare)
    return noisy(cell, draw, disturbed) if noise else cell


def _check_units(hidden_size, excitatory, connections):
    if excitatory is not None and excitatory not in range(hidden_size + 1):
        raise ValueError(
            f"`excitatory` must be a number of units, from 0 to {hidden_size}, got {excitatory!r}."
        )
    if connections is None:
        return
    rows = connections if isinstance(connections, tuple) else ()
    is_square = len(rows) == hidden_size and all(
        isinstance(row, tuple) and len(row) == hidden_size for row in rows
    )
    if not is_square or not all(isinstance(x, bool) for row in rows for x in row):
        raise ValueError(
            f"`connections` must be {hidden_size} tuples of {hidden_size} bools, got "
            f"{type(connections).__name__} of {len(rows)}. Convert an array with "
            "`tuple(map(tuple, mask.tolist()))`."
        )
