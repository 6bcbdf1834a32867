"""A linear recurrence, element by element, as one Pallas kernel that reads each number once.

Its numbers are laid out in tiles of rows of 128, side by side in the grid, and each tile keeps its
states while the kernel goes through blocks of time. A complex number is two real ones.
"""

import math

import jax
import jax.numpy as jnp

from jaxrnn.engines.pallas._primitive import loop

LANES = 128
ROWS = {"gpu": 1}  # of a tile, by platform: a TPU adds 8 rows at once
MOST_ROWS = 64  # elsewhere


def run(a: jax.Array, b: jax.Array, h0: jax.Array, reverse: bool, lagged: bool) -> jax.Array:
    """The states (T, ...) of a linear recurrence.

    Args:
      a: (T, ...), of the dtype of all arrays, real or complex.
      b: (T, ...).
      h0: (...).
      reverse: whether the last step runs first.
      lagged: whether each step takes the a of the step before, and the first one 1.
    """
    size = math.prod(h0.shape)
    rows = ROWS.get(jax.default_backend()) or min(MOST_ROWS, -(-size // (8 * LANES)) * 8)
    tile = rows * LANES
    count = -(-size // tile)

    def tiled(x, lead):
        flat = x.reshape(*x.shape[:lead], size)
        flat = jnp.pad(flat, [(0, 0)] * lead + [(0, count * tile - size)])
        flat = flat.reshape(*x.shape[:lead], count, rows, LANES)
        return [flat.real, flat.imag] if jnp.iscomplexobj(x) else [flat]

    def over_tiles(first, a, b):
        step = _lagged if lagged else _plain
        xs = [*a, *b]
        return loop(step, first, xs, length=len(xs[0]), reverse=reverse, has_rows=True)[1]

    out = jax.vmap(over_tiles, in_axes=(0, 1, 1), out_axes=1)(
        tiled(h0, 0), tiled(a, 1), tiled(b, 1)
    )
    hs = jax.lax.complex(*out) if len(out) == 2 else out[0]
    return hs.reshape(len(hs), count * tile)[:, :size].reshape(b.shape)


def _plain(h, coefficients):
    a, b = _halves(coefficients)
    new = _sum(_product(a, h), b)
    return new, new


def _lagged(h, coefficients):
    a, b = _halves(coefficients)
    new = _sum(h, b)
    return _product(a, new), new


def _halves(coefficients):
    return coefficients[: len(coefficients) // 2], coefficients[len(coefficients) // 2 :]


def _sum(x, y):
    return [x + y for x, y in zip(x, y, strict=True)]


def _product(x, y):
    if len(x) == 1:
        return [x[0] * y[0]]
    (a, b), (c, d) = x, y
    return [a * c - b * d, a * d + b * c]
