"""Products over all rows of a sequence, without the rows that are masked, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn.engines.cpu import _library
from jaxrnn.engines.cpu._dense import Outer, Sums, Times, multiply
from jaxrnn.engines.cpu._past import Past, before
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
        asked = Times(poisoned, matrix, added, is_transposed=is_transposed)
        ((got,),) = multiply(recurrence, given, [asked])
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

    part = units // 3, units // 3 * 2
    whole, columns = multiply(recurrence, None, [Outer(a, b), Outer(a, b, columns=part)])
    check(whole, a, b)
    check(columns, a, b[..., slice(*part)])
    is_real = mask[..., None]
    poisoned = [np.where(is_real, x, np.nan) for x in (a, b)]
    real = [np.where(is_real, x, 0) for x in (a, b)]
    asked = [Outer(*poisoned), Outer(*poisoned, columns=part)]
    whole, columns = multiply(recurrence, mask, asked)
    check(whole, *real)
    check(columns, real[0], real[1][..., slice(*part)])


@pytest.mark.parametrize("batch", [0, 1, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_over_the_batch_are_added_up_in_float64(batch, dtype):
    widths = (1, 70, 0, 64)
    rows = np.random.default_rng(0).standard_normal((batch, sum(widths))).astype(dtype)
    (got,) = multiply(Recurrence(None, False, None), None, [Sums(jnp.asarray(rows), widths)])
    expected = np.split(rows.astype(np.float64).sum(0), np.cumsum(widths)[:-1])
    for one, want in zip(got, expected, strict=True):
        assert one.dtype == dtype
        np.testing.assert_allclose(one, want, rtol=2 * np.finfo(dtype).eps, atol=1e-12)


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
    recurrence, part = Recurrence(None, reverse, None, instruction_set), (units // 3, units)
    resets = np.random.default_rng(1).random(mask.shape) < 0.3
    mask = mask if flags in ("mask", "both") else None
    past = Past(first, initial, resets) if flags in ("resets", "both") else Past(first, None, None)
    is_real = np.ones((steps, batch, 1), bool) if mask is None else mask[..., None]
    poisoned = [np.where(is_real, x, np.nan) for x in (a, b)]
    rows = earlier(past, a, mask, reverse)
    np.testing.assert_array_equal(before(recurrence, past, poisoned[0], mask), rows)
    right = np.where(is_real, b, 0)[..., slice(*part)]

    def check(got):
        np.testing.assert_array_equal(got[0], np.einsum("tbm,tbn->mn", rows, right))
        np.testing.assert_array_equal(got[1], right.sum((0, 1)))

    def products(past, a, b, mask):
        (found,) = multiply(recurrence, mask, [Outer(a, b, past, part)])
        return found

    check(products(past, *poisoned, mask))
    one = jax.tree.map(lambda x: x[None], (past, *poisoned, mask))
    check([x[0] for x in jax.vmap(products)(*one)])


@pytest.mark.parametrize("has_mask", [False, True])
def test_vmap_is_a_stack_of_single_calls(has_mask):
    given = arrays((3, 4), np.float64, (2, 3, 4, 5), (2, 5, 6), (2, 3, 4, 6), (2, 6), (2, 4, 7))
    mask, a, matrix, b, bias, rows = map(jnp.asarray, given)
    mask = mask if has_mask else None
    recurrence = Recurrence(None, False, None)

    def call(a, matrix, b, bias, rows):
        return multiply(recurrence, mask, [Times(a, matrix, bias), Outer(a, b), Sums(rows, (3, 4))])

    got = jax.vmap(call)(a, matrix, b, bias, rows)
    single = [call(a[k], matrix[k], b[k], bias[k], rows[k]) for k in range(2)]
    jax.tree.map(lambda x, *each: np.testing.assert_array_equal(x, np.stack(each)), got, *single)


@sets
@pytest.mark.parametrize("has_mask", [False, True])
def test_several_products_in_one_call_are_those_of_single_calls(instruction_set, has_mask):
    shapes = (40, 16, 70), (70, 100), (40, 16, 100), (40, 16, 5), (5, 3), (16, 70)
    mask, a, matrix, b, c, small, first = arrays((40, 16), np.float32, *shapes)
    mask = mask if has_mask else None
    recurrence, past = Recurrence(None, False, None, instruction_set), Past(first, None, None)
    asked = [Outer(a, b), Times(a, matrix), Times(c, small), Outer(a, c, past), Outer(c, b)]
    asked += [Sums(first, (30, 1, 39))]
    together = multiply(recurrence, mask, asked)
    alone = [multiply(recurrence, mask, [one])[0] for one in asked]
    jax.tree.map(np.testing.assert_array_equal, together, alone)
    assert multiply(recurrence, mask, []) == []


def test_products_that_do_not_fit_their_arrays_are_refused():
    a, b = jnp.ones((3, 2, 4)), jnp.ones((3, 2, 5))
    recurrence = Recurrence(None, False, None)
    for asked in (Times(a, jnp.ones((3, 5))), Outer(a, b, columns=(4, 6)), Outer(a, b[:2])):
        with pytest.raises(Exception, match=r"shape|columns"):
            jax.block_until_ready(multiply(recurrence, None, [asked]))
