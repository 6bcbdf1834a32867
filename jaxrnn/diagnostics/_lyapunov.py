"""Lyapunov exponents: the mean rates at which nearby trajectories part."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_count, check_size
from jaxrnn._core.types import Carry, Cell, Layer, Params
from jaxrnn.diagnostics._singular_values import check_num, start_block
from jaxrnn.diagnostics._step_map import begin, step_map
from jaxrnn.diagnostics._vectors import to_vector


class LyapunovExponents(NamedTuple):
    """Rates per step, largest first."""

    exponents: jax.Array  # (K,), natural logarithms
    errors: jax.Array  # (K,), standard errors


def lyapunov_exponents(
    model: Cell | Layer,
    params: Params,
    carry: Carry | None,
    xs: Any,
    *,
    num: int | None = None,
    warmup: int = 0,
    num_blocks: int = 10,
) -> LyapunovExponents:
    """Lyapunov exponents of a network driven by `xs`, by QR decompositions along its trajectory.

    Above 0, the largest one says that the network is chaotic: a small change grows on average by
    exp(λ) at each step, and so do gradients. Far below 0, the network forgets, and gradients
    vanish.

        xs = jnp.zeros((10_000, 1))  # without a drive
        found = lyapunov_exponents(cell, params, carry, xs, warmup=1000)
        found.exponents[0] > 2 * found.errors[0]  # chaotic

    Args:
      model: a cell, or a layer that can stream.
      params: from its `init`.
      carry: the carry before the first step; None means the initial carry.
      xs: inputs (T, I) of one sequence. For a batch, use `jax.vmap`.
      num: K, how many of the largest exponents to compute, with K products with the Jacobian at
        each step. None means all N, one for each number in the carry.
      warmup: how many steps to leave out of the means, 0 to T - 1, in which the trajectory settles
        and the directions line up.
      num_blocks: the errors are from the means over this many stretches of the sequence, which
        should be long against the memory of the network.

    Returns:
      `LyapunovExponents`, in at least float32. A direction that vanishes at once, as where the
      Jacobian is singular, has an exponent of -inf and an error of 0.

    Raises:
      ValueError, TypeError: as `jacobians`, `num` is not an integer from 1 to N, or `warmup` and
        `num_blocks` leave no step for each block.

    References: Benettin, Galgani, Giorgilli and Strelcyn, 1980, "Lyapunov characteristic exponents
    for smooth dynamical systems"; Engelken, Wolf and Abbott, 2023, "Lyapunov spectra of chaotic
    recurrent neural networks".

    Examples:
      >>> cell, xs = jaxrnn.elman(2, use_bias=False), jnp.zeros((100, 1))
      >>> params = jaxrnn.cells.ElmanParams(jnp.zeros((1, 2)), 0.5 * jnp.eye(2), None)
      >>> found = jaxrnn.diagnostics.lyapunov_exponents(cell, params, None, xs)
      >>> jnp.exp(found.exponents).round(3).tolist()  # a small h halves at each step
      [0.5, 0.5]
    """
    run = begin("lyapunov_exponents", model, params, carry, xs)
    like = to_vector(run.carry)
    num = like.size if num is None else num
    check_num("num", num, like.size)
    length = _block_length(len(jax.tree.leaves(run.xs)[0]), warmup, num_blocks)

    def body(state, x):
        carry, q = state
        move = step_map(run, carry, x)
        _, apply, carry = jax.linearize(move, to_vector(carry), has_aux=True)
        q, r = jnp.linalg.qr(jax.vmap(apply, in_axes=1, out_axes=1)(q))
        return (carry, q), jnp.log(jnp.abs(jnp.diagonal(r)))

    _, rates = jax.lax.scan(body, (run.carry, start_block(like, num)), run.xs)
    exponents = rates[warmup:].mean(axis=0)
    blocks = rates[-num_blocks * length :].reshape(num_blocks, length, num).mean(axis=1)
    errors = jnp.std(blocks, axis=0, ddof=1 if num_blocks > 1 else 0) / math.sqrt(num_blocks)
    errors = jnp.where(jnp.isneginf(exponents), jnp.zeros_like(errors), errors)
    order = jnp.argsort(-exponents)
    return LyapunovExponents(exponents[order], errors[order])


def _block_length(num_steps, warmup, num_blocks):
    check_count("warmup", warmup)
    check_size("num_blocks", num_blocks)
    if num_steps - warmup < num_blocks:
        raise ValueError(
            f"`warmup` = {warmup} leaves {max(0, num_steps - warmup)} of {num_steps} steps, and "
            f"`num_blocks` = {num_blocks} needs at least one step for each block."
        )
    return (num_steps - warmup) // num_blocks
