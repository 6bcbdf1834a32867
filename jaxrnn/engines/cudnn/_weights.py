"""The flat vector of weights that cuDNN takes, as `jax.experimental.rnn` describes it."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.types import Params


def packed(params: Params) -> jax.Array:
    """W, U, b and a second bias of zeros, in a row.

    Gates are in the order i f g o on both sides. cuDNN multiplies from the left, so its matrices
    are the transposed kernels.

    Args:
      params: with `kernel` (I, 4H), `recurrent_kernel` (H, 4H) and `bias`, (4H,) or None.

    Returns:
      (4H (I + H + 2),)
    """
    kernel, recurrent_kernel, bias = params.kernel, params.recurrent_kernel, params.bias
    zeros = jnp.zeros(kernel.shape[1:], kernel.dtype)
    parts = kernel.T, recurrent_kernel.T, zeros if bias is None else bias, zeros
    return jnp.concatenate([part.ravel() for part in parts])


def sizes(x: Any, h: Any) -> dict[str, int | bool]:
    """The arguments by which `jax.experimental.rnn` knows a layer: here one, in one direction.

    Args:
      x: inputs (..., I).
      h: states (..., H).
    """
    return {
        "input_size": x.shape[-1],
        "hidden_size": h.shape[-1],
        "num_layers": 1,
        "dropout": False,
        "bidirectional": False,
    }
