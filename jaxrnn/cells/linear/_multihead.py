"""Shared by cells whose state is a matrix for each head: sizes, projections and outputs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_features, check_params, check_size
from jaxrnn._core.types import Carry, Params
from jaxrnn.cells._gated import project
from jaxrnn.cells._matrix_state import MatrixCarry
from jaxrnn.cells._normalization import normalize


def check_heads(hidden_size: int, num_heads: int) -> int:
    """The size of a head, H / N; raises unless both are positive and N divides H."""
    check_size("hidden_size", hidden_size)
    check_size("num_heads", num_heads)
    if hidden_size % num_heads:
        raise ValueError(
            f"`num_heads` must divide `hidden_size`, got {num_heads} heads for {hidden_size} units."
        )
    return hidden_size // num_heads


def matrix_carry(
    params_type: type, hidden_size: int, num_heads: int
) -> Callable[[Params, jax.Array], Carry]:
    """Makes an `init_carry` that returns a zero matrix for each head, (..., N, H/N, H/N).

    Args:
      params_type: the NamedTuple of the cell's parameters; other types raise an error.
      hidden_size: H.
      num_heads: N.
    """
    size = check_heads(hidden_size, num_heads)

    def init_carry(params, x):
        check_params(params, params_type)
        check_features(x)
        return MatrixCarry(jnp.zeros((*x.shape[:-1], num_heads, size, size), params.kernel.dtype))

    return init_carry


def project_heads(params: Params, x: jax.Array, num_heads: int, num_blocks: int) -> list[jax.Array]:
    """W x + b in blocks, each of them by heads: (..., I) -> `num_blocks` of (..., N, H/N).

    Args:
      params: with `kernel` (I, blocks * H), and `bias` or None.
      x: inputs (..., I).
      num_heads: N.
      num_blocks: how many blocks the kernel has.
    """
    blocks = jnp.split(project(params, x), num_blocks, axis=-1)
    return [by_heads(block, num_heads) for block in blocks]


def by_heads(x: jax.Array, num_heads: int) -> jax.Array:
    """(..., H) -> (..., N, H/N)."""
    return x.reshape(*x.shape[:-1], num_heads, x.shape[-1] // num_heads)


def joined(heads: jax.Array) -> jax.Array:
    """(..., N, V) -> (..., N*V)."""
    return heads.reshape(*heads.shape[:-2], heads.shape[-2] * heads.shape[-1])


def gated_output(params: Params, recalled: jax.Array, gate: jax.Array) -> jax.Array:
    """What each head recalls, normalized and gated by swish: (..., N, V) -> (..., N*V).

    Args:
      params: with `kernel`, whose dtype the output has.
      recalled: (..., N, V).
      gate: likewise.
    """
    y = joined(normalize(recalled) * jax.nn.silu(gate))
    return y.astype(params.kernel.dtype)
