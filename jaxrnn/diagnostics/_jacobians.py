"""The Jacobian of every step."""

from typing import Any

import jax

from jaxrnn._core.types import Carry, Cell, Layer, Params
from jaxrnn.diagnostics._step_map import begin, carries_before, step_map
from jaxrnn.diagnostics._vectors import to_vector


def jacobians(model: Cell | Layer, params: Params, carry: Carry | None, xs: Any) -> jax.Array:
    """The Jacobians of the steps of a sequence: of each carry with respect to the one before.

        js = jacobians(cell, params, None, xs)
        through = js[2] @ js[1] @ js[0]  # of the carry after three steps, to the first one

    Args:
      model: a cell, or a layer that can stream.
      params: from its `init`.
      carry: the carry before the first step; None means the initial carry.
      xs: inputs (T, I) of one sequence. For a batch, use `jax.vmap`.

    Returns:
      (T, N, N), in at least float32: entry [t, i, j] is the derivative of number i of the carry
      after step t with respect to number j of the carry before. The N numbers are those of the
      floating leaves in order, flattened; a complex array counts as its real part and then its
      imaginary part.

    Raises:
      ValueError, TypeError: an argument does not fit the others, T is 0, `xs` has batch axes, or a
        layer cannot stream.

    Examples:
      >>> cell, xs = jaxrnn.elman(2, use_bias=False), jnp.zeros((7, 1))  # (T, I)
      >>> kernel = jnp.array([[0.5, 1.0], [0.0, 2.0]])
      >>> params = jaxrnn.cells.ElmanParams(jnp.zeros((1, 2)), kernel, None)
      >>> js = jaxrnn.diagnostics.jacobians(cell, params, None, xs)
      >>> js.shape, js[0].T.tolist()  # at h = 0, the recurrent kernel
      ((7, 2, 2), [[0.5, 1.0], [0.0, 2.0]])
    """
    run = begin("jacobians", model, params, carry, xs)

    def at(carry, x):
        move = step_map(run, carry, x)
        return jax.jacfwd(lambda vector: move(vector)[0])(to_vector(carry))

    return jax.vmap(at)(carries_before(run), run.xs)
