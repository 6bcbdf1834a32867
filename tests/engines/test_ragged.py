"""The C++ kernels run only the real steps of each row: whatever the mask, a row has the same bits.

The bits of a row are those of the same row with its masked steps cut out, alone or in any batch.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn.engines.cpu import _library
from jaxrnn.engines.kernel._operands import Flags, Primals, Result
from tests.engines.test_kernels import every_cell, inputs, kernels
from tests.marks import later

pytestmark = pytest.mark.skipif(_library.problem() is not None, reason=str(_library.problem()))

T = 14
MASKS = {
    "right": lambda t, lengths, draw: t < lengths,
    "left": lambda t, lengths, draw: t >= lengths,
    "both": lambda t, lengths, draw: (t > 2) & (t < lengths),
    "holes": lambda t, lengths, draw: draw < 0.6,
    "few": lambda t, lengths, draw: draw < 0.1,
    "none": lambda t, lengths, draw: draw < 0,
    "rows": lambda t, lengths, draw: (lengths % 2 == 0) & (t >= 0),
}
# B, H and the dtype.
SIZES = [(1, 17, "f"), (40, 9, "f"), later((2, 33, "d")), later((7, 130, "f")), later((13, 5, "d"))]


def mask_of(kind, steps, batch):
    """A mask (T, B) with an empty row where there are several."""
    rng = np.random.default_rng(batch)
    lengths = rng.integers(1, steps + 1, batch)
    lengths[batch // 2 :][: batch > 1] = 0
    return MASKS[kind](np.arange(steps)[:, None], lengths, rng.random((steps, batch)))


def arguments(name, batch, size, dtype, steps=T):
    primals, flags, dresult = inputs(name, steps=steps, batch=batch, size=size)
    primals, dresult = jax.tree.map(lambda leaf: leaf.astype(dtype), (primals, dresult))
    return primals, flags.resets, dresult


def at_rows(rows, primals, flags, dresult):
    """The same sequences in the batch `rows`."""
    weights, states, xs = primals
    (states, dcarry), (xs, flags, dys) = (
        jax.tree.map(lambda leaf: np.asarray(leaf)[rows], (states, dresult.carry)),
        jax.tree.map(lambda leaf: np.asarray(leaf)[:, rows], (xs, flags, dresult.ys)),
    )
    return Primals(weights, states, xs), flags, Result(dcarry, dys)


def parts_of(out):
    """What a run gives for each row: ((B, ...) leaves, (T, B, ...) leaves)."""
    result, alone, cotangents = out
    states = result.carry, alone.carry, cotangents.states
    return jax.tree.map(np.asarray, (states, (result.ys, alone.ys, cotangents.inputs)))


def closed_up(mask, reverse, tree):
    """Each row with its real steps at the start of the run, in their order."""
    order = np.argsort(mask if reverse else ~mask, axis=0, kind="stable")

    def move(leaf):
        return np.take_along_axis(leaf, order.reshape(*mask.shape, *[1] * (leaf.ndim - 2)), 0)

    return jax.tree.map(move, tree)


def same(got, want):
    jax.tree.map(np.testing.assert_array_equal, got, want)


@every_cell
@pytest.mark.parametrize("reverse", [False, later(True)])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", MASKS)
def test_masked_steps_can_be_cut_out(name, kind, sizes, reverse):
    mask, sequences = check_cut_out(name, kind, arguments(name, *sizes), reverse)
    assert not any(np.any(leaf[~mask]) for leaf in sequences)


def check_cut_out(name, kind, args, reverse):
    """Without its masked steps, a run gives the same; returns the mask and the sequences."""
    primals, resets, dresult = args
    run, mask = kernels(name, None, reverse), mask_of(kind, T, dresult.ys.shape[1])
    states, sequences = parts_of(run(primals, Flags(mask, resets), dresult))
    sequence = primals.inputs, Flags(mask, resets), dresult.ys
    xs, flags, dys = closed_up(mask, reverse, sequence)
    out = run(primals._replace(inputs=xs), flags, dresult._replace(ys=dys))
    same(parts_of(out), (states, closed_up(mask, reverse, sequences)))
    return mask, sequences


@every_cell
@pytest.mark.parametrize("reverse", [False, later(True)])
def test_a_row_is_the_same_alone_and_in_any_batch(name, reverse):
    batch = 40
    primals, resets, dresult = arguments(name, batch, 9, "f")
    run, flags = kernels(name, None, reverse), Flags(mask_of("right", T, batch), resets)
    states, sequences = parts_of(run(primals, flags, dresult))
    for rows in ([0], [batch // 2], list(reversed(range(batch)))):
        part = parts_of(run(*at_rows(rows, primals, flags, dresult)))
        same(part[0], jax.tree.map(lambda leaf, rows=rows: leaf[rows], states))
        same(part[1], jax.tree.map(lambda leaf, rows=rows: leaf[:, rows], sequences))


@pytest.mark.parametrize("cell", [("lstm", 264), later(("gru", 300)), later(("elman", 520))])
def test_threads_that_share_several_rows_change_no_bit(cell):
    """Recurrent kernels larger than a cache, whose units the threads divide among them."""
    (name, size), steps, batch = cell, 30, 9
    primals, resets, dresult = arguments(name, batch, size, "f", steps)
    for mask in (None, mask_of("holes", steps, batch)):
        run = kernels(name, None)
        states, sequences = parts_of(run(primals, Flags(mask, resets), dresult))
        for rows in ([0], [7, 2], [8, 3, 1, 0, 5]):
            part = parts_of(run(*at_rows(rows, primals, Flags(mask, resets), dresult)))
            same(part[0], jax.tree.map(lambda leaf, rows=rows: leaf[rows], states))
            same(part[1], jax.tree.map(lambda leaf, rows=rows: leaf[:, rows], sequences))


@every_cell
@pytest.mark.parametrize("reverse", [False, later(True)])
def test_padding_is_as_if_it_were_not_there(name, reverse):
    """Against shorter sequences without a mask, down to the gradients of the weights."""
    steps, batch = 9, 11
    primals, resets, dresult = arguments(name, batch, 24, "f")
    there = slice(T - steps, T) if reverse else slice(0, steps)
    mask = np.zeros((T, batch), bool)
    mask[there] = True
    run = kernels(name, None, reverse)
    result, alone, cotangents = run(primals, Flags(mask, resets), dresult)
    short = Primals(primals.weights, primals.states, primals.inputs[there])
    want = run(short, Flags(None, resets[there]), dresult._replace(ys=dresult.ys[there]))
    got = (
        result._replace(ys=result.ys[there]),
        alone._replace(ys=alone.ys[there]),
        cotangents._replace(inputs=cotangents.inputs[there]),
    )
    same(got, want)


@every_cell
@pytest.mark.parametrize("batch", [3, 40])
def test_inputs_of_masked_steps_are_never_read(name, batch):
    primals, resets, dresult = arguments(name, batch, 17, "f")
    mask, run = mask_of("holes", T, batch), kernels(name, None)
    clean = run(primals, Flags(mask, resets), dresult)
    nan = np.float32(np.nan)
    xs, dys = (np.where(mask[..., None], leaf, nan) for leaf in (primals.inputs, dresult.ys))
    poisoned = run(primals._replace(inputs=xs), Flags(mask, resets), dresult._replace(ys=dys))
    same(poisoned, clean)


@every_cell
@pytest.mark.parametrize("kind", MASKS)
def test_bfloat16_has_the_same_laws(name, kind):
    check_cut_out(name, kind, arguments(name, 12, 20, jnp.bfloat16), False)


@every_cell
@pytest.mark.parametrize("reverse", [False, later(True)])
def test_threads_that_share_one_row_skip_its_masked_steps(name, reverse):
    """Long enough for several chunks of time, some of them masked as a whole."""
    steps = 200
    primals, resets, dresult = arguments(name, 1, 160, "f", steps)
    run = kernels(name, None, reverse)
    mask = np.random.default_rng(0).random((steps, 1)) < 0.7
    mask[20:90] = False
    states, sequences = parts_of(run(primals, Flags(mask, resets), dresult))
    sequence = primals.inputs, Flags(mask, resets), dresult.ys
    xs, flags, dys = closed_up(mask, reverse, sequence)
    for _ in range(3):
        out = run(primals._replace(inputs=xs), flags, dresult._replace(ys=dys))
        same(parts_of(out), (states, closed_up(mask, reverse, sequences)))
