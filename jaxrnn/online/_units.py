"""Which unit of the carry each parameter feeds, found by asking the derivative of the cell.

Most parameters of a cell feed one unit: an entry of a kernel (H, G*H) that of its column. Then two
weighted sums over all units of the derivative tell which one it is, as the ratio of the two; a
third tells whether it was one. The whole derivative, N numbers for each parameter, is never made.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.dependency import floating
from jaxrnn._core.memo import remembered
from jaxrnn._core.noise import without_batch, without_noise
from jaxrnn._core.numerics import is_floating, sum_dtype
from jaxrnn._core.types import Cell, Params
from jaxrnn.online._probing import sums_over_points
from jaxrnn.online._vectors import block_ends


class Units(NamedTuple):
    """Where the units are in the vector of a carry (N,), and which of them each parameter feeds.

    A unit has one number in each array of the carry of its shape, such as h and c of an LSTM.
    """

    blocks: Any  # bool (L, N): which numbers belong to each of the L arrays of the carry
    fed: list  # for each array of parameters, L arrays of places, N for none; None if it feeds many


def find_units(cell: Cell, params: Params, x: Any) -> Units:
    """The units of `cell` for inputs like `x`; of both, shapes and dtypes are read."""
    x = without_batch(without_noise(x), cell.num_feature_axes)
    blocks, fed = remembered(_find, cell, None, (params, x))
    places = [None if each is None else [jnp.asarray(p, jnp.int32) for p in each] for each in fed]
    return Units(jnp.asarray(blocks), places)


def _find(cell, _, arguments):
    carry = jax.eval_shape(cell.init_carry, *arguments)
    ends, shapes = block_ends(carry), [leaf.shape for leaf in floating(carry)]
    places = np.arange(ends[-1])
    blocks = np.searchsorted(ends, places, side="right") == np.arange(len(ends))[:, None]
    # What an integer stands for is not known: it may choose which units are fed.
    if not all(map(is_floating, jax.tree.leaves(arguments))):
        return blocks, [None for _ in floating(arguments[0])]
    weights, others = np.random.default_rng(0).uniform(1, 2, (2, ends[-1]))
    questions = blocks[:, None] * weights * np.stack([np.ones(ends[-1]), places, others])
    starts = [end - math.prod(shape) for end, shape in zip(ends, shapes, strict=True)]
    answers = _ask(cell, *arguments, questions)
    return blocks, [_places(answer, others, starts, shapes) for answer in answers]


def _ask(cell, params, x, questions):
    params, x = jax.tree.map(lambda leaf: np.zeros(leaf.shape, sum_dtype(leaf.dtype)), (params, x))
    with jax.ensure_compile_time_eval():  # the answer is needed now, also while `init` is traced
        answers = jax.jit(functools.partial(sums_over_points, cell))(params, x, questions)
        return [np.asarray(answer, np.float64) for answer in answers]


def _places(answer, others, starts, shapes):
    """The place that each parameter of an array feeds in each block; None if one feeds several."""
    squares, at, other = np.moveaxis(answer, 1, 0)
    is_fed = squares != 0
    ratio = at / np.where(is_fed, squares, 1)
    if not np.isfinite(answer).all() or np.rint(ratio).max(initial=0) >= len(others):
        return None
    places = np.rint(ratio).astype(int)
    is_one = np.abs(other - others[places] * squares) <= 1e-3 * squares
    if not np.all(is_one & (np.abs(ratio - places) < 0.1)):
        return None
    return _shared(np.where(is_fed, places, len(others)), starts, shapes)


def _shared(places, starts, shapes):
    """The places (L, ...), with those of a unit in blocks that it does not feed immediately."""
    none, out = sum(map(math.prod, shapes)), []
    for start, shape, own in zip(starts, shapes, places, strict=True):
        for begin, alike, other in zip(starts, shapes, places, strict=True):
            if shape == alike:
                own = np.where((own == none) & (other != none), other - begin + start, own)
        out.append(_compact(own))
    return out


def _compact(places):
    """`places` with size 1 along each axis along which they do not change."""
    for axis in range(places.ndim):
        first = places.take([0], axis)
        places = first if (places == first).all() else places
    return places
