"""The floating numbers of a carry as one real vector."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.dependency import floating, with_floating
from jaxrnn._core.numerics import sum_dtype


def to_vector(tree: Any) -> jax.Array:
    """The floating numbers of `tree`, (N,), in at least float32; a complex number counts as two."""
    return jnp.concatenate([part.astype(_wide(tree)) for part in _parts(tree)])


def from_vector(like: Any, vector: jax.Array) -> Any:
    """`like` with the numbers of `vector` (N,) in its floating leaves."""
    leaves, start = [], 0
    for leaf in floating(like):
        size = math.prod(leaf.shape) * (2 if _is_complex(leaf) else 1)
        part, start = vector[start : start + size], start + size
        if _is_complex(leaf):
            part = jax.lax.complex(*jnp.split(part, 2))
        leaves.append(part.reshape(leaf.shape).astype(leaf.dtype))
    return with_floating(like, leaves)


def _parts(tree):
    for leaf in floating(tree):
        flat = leaf.reshape(-1)
        yield jnp.concatenate([flat.real, flat.imag]) if _is_complex(leaf) else flat


def _wide(tree):
    reals = [np.zeros((), leaf.dtype).real.dtype for leaf in floating(tree)]
    return np.result_type(*map(sum_dtype, reals))


def _is_complex(leaf):
    return jnp.issubdtype(leaf.dtype, jnp.complexfloating)
