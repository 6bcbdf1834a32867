"""Singular values of the Jacobians, step by step and over the whole sequence."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn._core.checks import check_size
from jaxrnn._core.types import Carry, Cell, Layer, Params
from jaxrnn.diagnostics._jacobians import jacobians
from jaxrnn.diagnostics._step_map import begin, carries_before, step_map
from jaxrnn.diagnostics._vectors import to_vector

EXTRA = 8  # columns beside those that are asked for, which make the iteration converge


class SingularValues(NamedTuple):
    """How much a carry is stretched, largest first."""

    steps: jax.Array  # (T, K), of the Jacobian of each step
    log_product: jax.Array  # (K,), natural logarithms of those of the product of all Jacobians


def singular_values(
    model: Cell | Layer,
    params: Params,
    carry: Carry | None,
    xs: Any,
    *,
    num: int | None = None,
    num_iterations: int = 10,
) -> SingularValues:
    """Singular values of the Jacobian of each step, and of their product over the sequence.

    A gradient that goes back over the sequence grows at most by the largest singular value of the
    product, and shrinks at most by the smallest. Close to 1 throughout, the network has dynamical
    isometry (Pennington et al., 2017).

        found = singular_values(cell, params, None, xs, num=4)
        jnp.exp(found.log_product / len(xs))  # growth per step

    Args:
      model: a cell, or a layer that can stream.
      params: from its `init`.
      carry: the carry before the first step; None means the initial carry.
      xs: inputs (T, I) of one sequence. For a batch, use `jax.vmap`.
      num: K, how many of the largest ones to compute, without a matrix: by subspace iteration with
        products with the Jacobian and its transpose. None means all N, from the matrices (N, N).
      num_iterations: how often that iteration goes forth and back, where `num` is given. The error
        shrinks with each one, quickly unless the values are close to the next ones.

    Returns:
      `SingularValues`, in at least float32. Of the product, values below the largest one times the
      precision of the dtype are rounding errors.

    Raises:
      ValueError, TypeError: as `jacobians`, `num` is not an integer from 1 to N, or
        `num_iterations` is not a positive integer.

    References: Pennington, Schoenholz and Ganguli, 2017, "Resurrecting the sigmoid in deep learning
    through dynamical isometry"; Halko, Martinsson and Tropp, 2011, "Finding structure with
    randomness".

    Examples:
      >>> cell, xs = jaxrnn.elman(2, use_bias=False), jnp.zeros((3, 1))
      >>> params = jaxrnn.cells.ElmanParams(jnp.zeros((1, 2)), jnp.diag(jnp.array([0.5, 2])), None)
      >>> found = jaxrnn.diagnostics.singular_values(cell, params, None, xs)
      >>> found.steps.shape, jnp.exp(found.log_product).round(3).tolist()
      ((3, 2), [8.0, 0.125])
    """
    check_size("num_iterations", num_iterations)
    if num is None:
        return _of_matrices(jacobians(model, params, carry, xs))
    run = begin("singular_values", model, params, carry, xs)
    like = to_vector(run.carry)
    check_num("num", num, like.size)
    block = start_block(like, min(num + EXTRA, like.size))
    before = carries_before(run)

    def linear(carry, x):
        """The products of a block (N, P) with the Jacobian of a step, and with its transpose."""
        move = step_map(run, carry, x)
        _, apply = jax.linearize(lambda vector: move(vector)[0], to_vector(carry))
        transpose = jax.linear_transpose(apply, like)
        return _on_columns(apply), _on_columns(lambda vector: transpose(vector)[0])

    def of_step(step):
        forward, back = linear(*step)
        find = functools.partial(_largest, lambda b: (forward(b), 0.0), lambda b: (back(b), 0.0))
        return find(block, num_iterations)[0][:num]

    def through(reverse, block):
        """The product with all Jacobians, in turn, and the logarithm of a factor left out."""

        def body(block, step):
            block = linear(*step)[1 if reverse else 0](block)
            size = _size(block)
            return block / size, jnp.log(size)

        block, logs = lax.scan(body, block, (before, run.xs), reverse=reverse)
        return block, logs.sum()

    steps = lax.map(of_step, (before, run.xs))
    forth, back = functools.partial(through, False), functools.partial(through, True)
    values, log_scale = _largest(forth, back, block, num_iterations)
    return SingularValues(steps, (jnp.log(values) + log_scale)[:num])


def check_num(name: str, num: Any, size: int) -> None:
    """Raises unless `num` is an integer from 1 to the size of the carry."""
    check_size(name, num)
    if num > size:
        raise ValueError(f"`{name}` must be at most {size}, the numbers in the carry, got {num}.")


def start_block(like: jax.Array, num: int) -> jax.Array:
    """Orthonormal columns (N, K) in no special direction; all of the axes where K = N."""
    if num == like.size:
        return jnp.eye(num, dtype=like.dtype)
    return jnp.linalg.qr(jax.random.normal(jax.random.key(0), (like.size, num), like.dtype))[0]


def _largest(forth: Callable, back: Callable, block: jax.Array, num_iterations: int):
    """The largest singular values of a product, and the logarithm of a factor left out of them."""

    def body(_, block):
        image = jnp.linalg.qr(forth(block)[0])[0]
        return jnp.linalg.qr(back(image)[0])[0]

    image, log_scale = forth(lax.fori_loop(0, num_iterations, body, block))
    return jnp.linalg.svd(image, compute_uv=False), log_scale


def _of_matrices(js):
    def body(product, j):
        product = j @ product
        size = _size(product)
        return product / size, jnp.log(size)

    product, logs = lax.scan(body, jnp.eye(js.shape[-1], dtype=js.dtype), js)
    values = jnp.linalg.svd(product, compute_uv=False)
    return SingularValues(jnp.linalg.svd(js, compute_uv=False), jnp.log(values) + logs.sum())


def _size(block):
    """A factor that keeps the numbers of a block in range."""
    largest = jnp.max(jnp.abs(block))
    return jnp.where(largest > 0, largest, jnp.ones_like(largest))


def _on_columns(apply):
    return jax.vmap(apply, in_axes=1, out_axes=1)
