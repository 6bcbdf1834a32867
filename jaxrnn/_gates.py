"""What most cells begin with: a kernel that multiplies x, one that multiplies h, and a bias."""

from typing import Any

import jax

from jaxrnn._checks import check_features, check_key
from jaxrnn._initializers import Initializer
from jaxrnn._precision import affine, matmul
from jaxrnn._types import Carry, Params


def draw_gates(
    key: jax.Array, x: Any, hidden_size: int, num_gates: int, inits: tuple[Initializer, ...]
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The kernel (I, G*H), the recurrent kernel (H, G*H) and the bias (G*H,) of a cell.

    Args:
      key: what they are drawn from.
      x: an example step (..., I), or its shape and dtype.
      hidden_size: H.
      num_gates: G.
      inits: an initialiser for each of the three.
    """
    check_key(key)
    check_features(x)
    width = num_gates * hidden_size
    shapes = (x.shape[-1], width), (hidden_size, width), (width,)
    keys = jax.random.split(key, 3)
    return tuple(init(k, s, x.dtype) for init, k, s in zip(inits, keys, shapes, strict=True))


def project(params: Params, x: jax.Array) -> jax.Array:
    """W x + b, (..., I) -> (..., G*H)."""
    check_features(x, params.kernel.shape[0], params.kernel.dtype)
    return affine(x, params.kernel, params.bias)


def recur(params: Params, carry: Carry) -> jax.Array:
    """U h, (..., H) -> (..., G*H)."""
    return matmul(carry.h, params.recurrent_kernel)
