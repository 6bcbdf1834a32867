"""Real-time recurrent learning: the exact gradient, forward in time."""

import jax
import jax.numpy as jnp

from jaxrnn._core.construction import recorded
from jaxrnn._core.types import Cell
from jaxrnn.online._build import build
from jaxrnn.online._types import OnlineCell, Rule


@recorded
def rtrl(cell: Cell) -> OnlineCell:
    """Real-time recurrent learning (RTRL): the exact gradient, without a stored past.

        P' = J P + I,    dL/dθ = dL/dh' P'

    P is the influence of the parameters θ on the carry h; J and I are the derivatives of a step
    with respect to the carry before and to the parameters. While the parameters stay as they are,
    the sum of the gradients of all steps is that of backpropagation through time.

    P has N numbers for each parameter, for N numbers in the carry, and each row of a batch has its
    own. A step takes N² multiplications for each parameter. With H units, that is about H³ numbers
    and H⁴ multiplications, however long the sequence: it is for small cells, and a reference for
    the other methods.

    Args:
      cell: any `Cell` with a state equation. One that draws random numbers is deterministic, unless
        its inputs are `jaxrnn.Noisy`.

    Returns:
      An `OnlineCell`.

    Raises:
      ValueError, TypeError: `cell` is not a `Cell`, or comes from `jaxrnn.from_step`. Its `init`
        refuses cells with `jaxrnn.clip_carry_gradient`, and complex numbers.

    References: Williams and Zipser, 1989, "A learning algorithm for continually running fully
    recurrent neural networks".

    Examples:
      >>> cell, xs = jaxrnn.elman(4), jax.random.normal(jax.random.key(0), (7, 2))
      >>> params, online = cell.init(jax.random.key(1), xs[0]), jaxrnn.online.rtrl(cell)
      >>> def loss(params, state, x):
      ...     state, y = online.step(params, state, x)
      ...     return jnp.sum(y), state
      >>> forward = jaxrnn.online.accumulate(loss, params, online.init(params, xs[0]), xs)[2]
      >>> back = jax.grad(lambda p: jnp.sum(jaxrnn.unroll(cell, p, None, xs)[1]))(params)
      >>> bool(jnp.allclose(forward.recurrent_kernel, back.recurrent_kernel, atol=1e-4))
      True
    """
    return build("rtrl", cell, Rule(_begin, _advance, _along))


def _begin(units, key, start, leaves):
    return jax.jacrev(start)(leaves)


def _advance(units, key, influence, move, leaves, vector):
    immediate, carried = jax.jacrev(move, argnums=(0, 1))(leaves, vector)
    return [jnp.tensordot(carried, p, 1) + i for p, i in zip(influence, immediate, strict=True)]


def _along(units, influence, dleaves):
    terms = zip(influence, dleaves, strict=True)
    return sum(jnp.tensordot(p, dleaf, dleaf.ndim) for p, dleaf in terms)
