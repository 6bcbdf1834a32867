"""The parameters that most cells begin with: what multiplies x, what multiplies h, and a bias."""

from typing import Any

import jax

from jaxrnn._checks import check_features, check_key
from jaxrnn._initializers import Initializer


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
