"""The recurrent highway network (RHN)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import affine, tanh, wide_update
from jaxrnn._core.types import Cell
from jaxrnn.cells._gated import HiddenCarry, draw_each, project, recur, zero_carry
from jaxrnn.initializers import Initializer, glorot_uniform, orthogonal, unit_forget_bias


class RHNParams(NamedTuple):
    kernel: jax.Array  # (I, 2H), gates n t
    recurrent_kernel: jax.Array  # (H, 2H), of the first layer of a step
    bias: jax.Array | None  # (2H,); None without biases
    deeper_kernels: tuple[jax.Array, ...]  # (H, 2H) for each of the other layers
    deeper_biases: tuple[jax.Array | None, ...]  # (2H,), or None


@constructor
def rhn(
    hidden_size: int,
    depth: int = 3,
    *,
    kernel_init: Initializer = glorot_uniform(2),
    recurrent_kernel_init: Initializer = orthogonal(2),
    bias_init: Initializer = unit_forget_bias(gates="nf", forget=-2.0),
    use_bias: bool = True,
) -> Cell:
    """Recurrent highway network: several gated layers within each step (RHN).

        n, t = W x + U_1 h + b_1            in the first layer
        n, t = U_l s + b_l                  in those after it, with s the result of the one before
        s' = σ(t) tanh(n) + (1 - σ(t)) s

    h' is the s' of the last layer. Each layer is one more product in the loop.

    Args:
      hidden_size: H.
      depth: the number of layers in a step.
      kernel_init: draws `kernel` (I, 2H).
      recurrent_kernel_init: draws `recurrent_kernel` (H, 2H) and each of the `deeper_kernels`.
      bias_init: draws `bias` (2H,) and each of the `deeper_biases`. The default sets the bias of t
        to -2, so that the layers start by passing the state on.
      use_bias: whether there are biases.

    Returns:
      A `Cell` with parameters `RHNParams` and carry `HiddenCarry`; its output is h', (..., H).

    Raises:
      ValueError, TypeError: a size is not a positive integer, or `use_bias` is not a bool.

    References: Zilly, Srivastava, Koutník and Schmidhuber, 2017, "Recurrent highway networks".

    Examples:
      >>> cell = jaxrnn.rhn(8, depth=3)
      >>> params = jax.eval_shape(cell.init, jax.random.key(0), jnp.ones((2, 4)))  # (B, I)
      >>> params.recurrent_kernel.shape, [kernel.shape for kernel in params.deeper_kernels]
      ((8, 16), [(8, 16), (8, 16)])
    """
    check_size("hidden_size", hidden_size)
    check_size("depth", depth)
    check_bool("use_bias", use_bias)
    biases = bias_init if use_bias else None

    def init(key, x):
        parts = {"kernel": (kernel_init, (x.shape[-1], 2 * hidden_size))}
        layers = [
            draw_each(
                jax.random.fold_in(key, layer),
                x,
                recurrent_kernel=(recurrent_kernel_init, (hidden_size, 2 * hidden_size)),
                bias=(biases, (2 * hidden_size,)),
            )
            for layer in range(depth)
        ]
        kernels, all_biases = map(tuple, zip(*layers, strict=True))
        (kernel,) = draw_each(key, x, **parts)
        return RHNParams(kernel, kernels[0], all_biases[0], kernels[1:], all_biases[1:])

    init_carry = zero_carry(RHNParams, HiddenCarry, hidden_size)
    return Cell(init, init_carry, project, recur, _update)


@wide_update
def _update(params, carry, u, v):
    s = _highway(u + v, carry.h)
    for kernel, bias in zip(params.deeper_kernels, params.deeper_biases, strict=True):
        s = _highway(affine(s.astype(kernel.dtype), kernel, bias), s)
    return HiddenCarry(s)


def _highway(gates, s):
    n, t = jnp.split(gates, 2, axis=-1)
    t = jax.nn.sigmoid(t)
    return t * tanh(n) + (1 - t) * s
