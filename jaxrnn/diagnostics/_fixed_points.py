"""Fixed and slow points of the dynamics under a constant input."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import check_positive, check_sequence, check_size
from jaxrnn._core.types import Carry, Cell, Layer, Params
from jaxrnn.diagnostics._descent import descend
from jaxrnn.diagnostics._step_map import begin, step_map
from jaxrnn.diagnostics._vectors import from_vector, to_vector


class FixedPoints(NamedTuple):
    """Points at which a network stands still, or nearly so, the slowest first."""

    carries: Carry  # (P, ...)
    speeds: np.ndarray  # (P,), the length of one step away from the point
    is_fixed: np.ndarray  # bool (P,): the speed is within the tolerance; elsewhere a slow point
    eigenvalues: np.ndarray  # complex (P, N), of the Jacobian, largest absolute value first
    is_stable: np.ndarray  # bool (P,): all of them are within the unit circle
    num_starts: np.ndarray  # (P,), how many of the starts ended there


def fixed_points(
    model: Cell | Layer,
    params: Params,
    starts: Carry,
    x: Any,
    *,
    tolerance: float = 1e-5,
    slow: float = 1e-2,
    distance: float = 1e-3,
    num_steps: int = 200,
) -> FixedPoints:
    """Fixed and slow points of a network under a constant input, with their stability.

    From each start, the speed |F(h) - h| of one step F is made as small as it gets, by damped
    Gauss-Newton steps from all starts at once. Where it reaches 0 the network stands still. A
    minimum above 0 is a slow point, which trajectories pass slowly. Points that are the same are
    merged. Take the states of a run as starts, with noise, as no start means that no point is
    there.

        _, states = jaxrnn.unroll(cell, params, None, xs)  # (T, H)
        starts = jaxrnn.HiddenCarry(states)
        found = fixed_points(cell, params, starts, jnp.zeros(I))
        found.is_stable  # (P,)

    Args:
      model: a cell, or a layer that can stream.
      params: from its `init`.
      starts: carries (S, ...), S starts.
      x: the constant input, (I,).
      tolerance: speeds up to this one count as fixed points. In float32, a step cannot be told from
        none below about 1e-6.
      slow: speeds above `tolerance` and up to this one count as slow points. What is faster is left
        out.
      distance: points as close as this are one.
      num_steps: the largest number of steps from each start, each of which takes a Jacobian (N, N).

    Returns:
      `FixedPoints`; P may be 0. The number of points depends on values, so it cannot run in
      `jax.jit`.

    Raises:
      ValueError, TypeError: as `jacobians`, `starts` are not carries (S, ...), or an option is not
        a number above 0.

    References: Sussillo and Barak, 2013, "Opening the black box: low-dimensional dynamics in
    high-dimensional recurrent neural networks".

    Examples:
      >>> cell = jaxrnn.elman(1, use_bias=False)
      >>> params = jaxrnn.cells.ElmanParams(jnp.zeros((1, 1)), jnp.array([[2.0]]), None)
      >>> starts = jaxrnn.HiddenCarry(jnp.array([[-1.0], [0.1], [1.0]]))  # (S, H)
      >>> found = jaxrnn.diagnostics.fixed_points(cell, params, starts, jnp.zeros(1))
      >>> order = found.carries.h[:, 0].argsort()  # of h' = tanh(2 h): -0.96, 0 and 0.96
      >>> found.is_stable[order].tolist()
      [True, False, True]
    """
    limits = {"tolerance": tolerance, "slow": slow, "distance": distance}
    tolerance, slow, distance = (check_positive(*item) for item in limits.items())
    check_size("num_steps", num_steps)
    check_sequence(starts, "starts")
    if jax.tree.leaves(starts)[0].shape[0] == 0:
        raise ValueError("`starts` holds no carry: expected carries (S, ...) with S above 0.")
    first = jax.tree.map(lambda leaf: leaf[0], starts)
    run = begin("fixed_points", model, params, first, jax.tree.map(lambda leaf: leaf[None], x))
    x = jax.tree.map(lambda leaf: leaf[0], run.xs)

    def residual(vector):
        return step_map(run, run.carry, x)(vector)[0] - vector

    @jax.jit
    def search(starts):
        points = jax.vmap(lambda start: descend(residual, to_vector(start), num_steps))(starts)
        return points, jnp.linalg.norm(jax.vmap(residual)(points), axis=-1)

    points, speeds = map(np.asarray, search(starts))
    kept, counts = _distinct(points, speeds, slow, distance)
    points, speeds = points[kept], speeds[kept]
    matrices = jax.jit(jax.vmap(jax.jacfwd(residual)))(jnp.asarray(points))
    values = np.linalg.eigvals(np.asarray(matrices) + np.eye(points.shape[-1]))
    order = np.argsort(-np.abs(values), axis=-1)
    values = np.take_along_axis(values, order, axis=-1)
    carries = jax.vmap(lambda vector: from_vector(run.carry, vector))(jnp.asarray(points))
    is_stable = (np.abs(values) < 1).all(axis=-1)
    return FixedPoints(carries, speeds, speeds <= tolerance, values, is_stable, counts)


def _distinct(points, speeds, slow, distance):
    """The slowest of points that are the same, and how many are merged into each."""
    kept, counts = [], []
    for i in np.argsort(speeds, kind="stable"):
        if not speeds[i] <= slow:  # also NaN
            break
        gaps = np.linalg.norm(points[kept] - points[i], axis=-1)
        if len(kept) and gaps.min() <= distance:
            counts[int(gaps.argmin())] += 1
        else:
            kept.append(i)
            counts.append(1)
    return np.array(kept, int), np.array(counts, int)
