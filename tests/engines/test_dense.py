"""Products over all rows of a sequence, without the rows that are masked, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn.engines.cpu import _library
from jaxrnn.engines.cpu._dense import Past, before, outer_products, times_matrix
from jaxrnn.engines.kernel._operands import Recurrence

pytestmark = pytest.mark.skipif(_library.problem() is not None, reason=str(_library.problem()))

# Steps, rows, and two widths: fewer than a vector, none, more than a block, and enough for threads.
SIZES = [(3, 2, 1, 5), (2, 3, 0, 4), (5, 1, 17, 33), (0, 2, 3, 4), (40, 16, 70, 100)]
sizes = pytest.mark.parametrize("sizes", SIZES)
sets = pytest.mark.parametrize("instruction_set", _library.instruction_sets())


def arrays(sizes, dtype, *shapes):
    """Arrays of small whole numbers, whose sums are exact, and a mask."""
    rng = np.random.default_rng(0)
    mask = rng.random(sizes[:2]) < 0.6
    return mask, *(rng.integers(-4, 5, shape).astype(dtype) for shape in shapes)


@sets
@sizes
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("is_transposed", [False, True])
def test_rows_times_a_matrix(instruction_set, sizes, dtype, is_transposed):
    steps, batch, width, units = sizes
    sides = (units, width) if is_transposed else (width, units)
    mask, rows, matrix, bias = arrays(sizes, dtype, (steps, batch, width), sides, (units,))
    recurrence = Recurrence(None, False, None, instruction_set)
    expected = rows @ (matrix.T if is_transposed else matrix)
    masked = np.where(mask[..., None], expected + bias, 0)
    for given, added, want in (None, None, expected), (mask, bias, masked):
        poisoned = rows if given is None else np.where(given[..., None], rows, np.nan)
        call = poisoned, matrix, added, given
        got = times_matrix(recurrence, *call, is_transposed=is_transposed)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, want)


@sets
@sizes
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reverse", [False, True])
def test_sums_of_outer_products(instruction_set, sizes, dtype, reverse):
    steps, batch, width, units = sizes
    shapes = (steps, batch, width), (steps, batch, units)
    mask, a, b = arrays(sizes, dtype, *shapes)
    recurrence = Recurrence(None, reverse, None, instruction_set)

    def check(got, a, b):
        np.testing.assert_array_equal(got[0], np.einsum("tbm,tbn->mn", a, b))
        np.testing.assert_array_equal(got[1], b.sum((0, 1)))

    check(outer_products(recurrence, None, a, b, None), a, b)
    part = slice(units // 3, units // 3 * 2)
    check(outer_products(recurrence, None, a, b, None, part), a, b[..., part])
    is_real = mask[..., None]
    poisoned = [np.where(is_real, x, np.nan) for x in (a, b)]
    real = [np.where(is_real, x, 0) for x in (a, b)]
    check(outer_products(recurrence, None, *poisoned, mask), *real)
    real[1] = real[1][..., part]
    check(outer_products(recurrence, None, *poisoned, mask, part), *real)


def earlier(past, a, mask, reverse):
    """What stands before each step, one number at a time."""
    out = np.zeros_like(a)
    for row in range(a.shape[1]):
        last = past.first[row]
        for t in reversed(range(len(a))) if reverse else range(len(a)):
            is_reset = past.resets is not None and past.resets[t, row]
            out[t, row] = past.initial[row] if is_reset else last
            last = a[t, row] if mask is None or mask[t, row] else last
    return out


@sets
@pytest.mark.parametrize("sizes", [sizes for sizes in SIZES if sizes[0]])
@pytest.mark.parametrize("flags", ["neither", "mask", "resets", "both"])
@pytest.mark.parametrize("reverse", [False, True])
def test_outer_products_with_what_stands_before_each_step(instruction_set, sizes, flags, reverse):
    steps, batch, width, units = sizes
    shapes = (batch, width), (batch, width), (steps, batch, width), (steps, batch, units)
    mask, first, initial, a, b = arrays(sizes, np.float32, *shapes)
    recurrence, part = Recurrence(None, reverse, None, instruction_set), slice(units // 3, units)
    resets = np.random.default_rng(1).random(mask.shape) < 0.3
    mask = mask if flags in ("mask", "both") else None
    past = Past(first, initial, resets) if flags in ("resets", "both") else Past(first, None, None)
    is_real = np.ones((steps, batch, 1), bool) if mask is None else mask[..., None]
    poisoned = [np.where(is_real, x, np.nan) for x in (a, b)]
    rows = earlier(past, a, mask, reverse)
    np.testing.assert_array_equal(before(recurrence, past, poisoned[0], mask), rows)
    right = np.where(is_real, b, 0)[..., part]

    def check(got):
        np.testing.assert_array_equal(got[0], np.einsum("tbm,tbn->mn", rows, right))
        np.testing.assert_array_equal(got[1], right.sum((0, 1)))

    check(outer_products(recurrence, past, *poisoned, mask, part))
    one = jax.tree.map(lambda x: x[None], (past, *poisoned, mask))
    several = jax.vmap(lambda *args: outer_products(recurrence, *args, part))(*one)
    check([x[0] for x in several])


@pytest.mark.parametrize("has_mask", [False, True])
def test_vmap_is_a_stack_of_single_calls(has_mask):
    given = arrays((3, 4), np.float64, (2, 3, 4, 5), (2, 5, 6), (2, 3, 4, 6), (2, 6))
    mask, a, matrix, b, bias = map(jnp.asarray, given)
    mask = mask if has_mask else None
    recurrence = Recurrence(None, False, None)

    def call(a, matrix, b, bias):
        return times_matrix(recurrence, a, matrix, bias, mask), outer_products(
            recurrence, None, a, b, mask
        )

    got = jax.vmap(call)(a, matrix, b, bias)
    single = [call(a[k], matrix[k], b[k], bias[k]) for k in range(2)]
    jax.tree.map(lambda x, *each: np.testing.assert_array_equal(x, np.stack(each)), got, *single)
