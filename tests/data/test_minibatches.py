"""Minibatches hold every step once, in an order that arguments alone determine."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import data
from tests.laws.compiled import compilations
from tests.laws.tables import assert_same

LENGTHS = (11, 3, 0, 70, 2, 9, 33, 16, 17, 5, 40, 1, 8)
COUNT = len(LENGTHS)
LABELS = {"speaker": np.arange(COUNT), "point": np.arange(2.0 * COUNT).reshape(COUNT, 2)}


def ragged(lengths=LENGTHS):
    rng = np.random.default_rng(0)
    return [(rng.normal(size=(n, 2)), rng.integers(0, 9, n)) for n in lengths]


SEQUENCES = ragged()


WRITTEN = [[0, 8, 10, 6, 3], [4, 9, 5, 7, 11], [2, 1, 12, -1, -1]]  # with seed 7, in epoch 3


def order(batches):
    return [batch.indices.tolist() for batch in batches]


@pytest.mark.parametrize("seed", [None, 0, 2**70])
@pytest.mark.parametrize("batch_size", [1, 4, np.int64(20)])
@pytest.mark.parametrize("max_length", [None, 1, 5, np.uint8(70)])
def test_every_step_comes_once(seed, batch_size, max_length):
    choices = {"labels": LABELS, "seed": seed, "max_length": max_length, "smallest": 4}
    batches = data.minibatches(SEQUENCES, batch_size, **choices)
    seen = [np.zeros(n, int) for n in LENGTHS]
    rows = np.zeros(COUNT, int)
    for xs, mask, indices, starts, labels in batches:
        assert mask.shape == (data.bucket_length(mask.sum(0).max(), smallest=4), batch_size)
        assert (indices.dtype, starts.dtype) == (np.int32, np.int32)
        for b, (i, start, length) in enumerate(zip(indices, starts, mask.sum(0), strict=True)):
            assert mask[:length, b].all()
            if i < 0:
                assert length == start == 0
                assert labels["speaker"][b] == 0
                assert not labels["point"][b].any()
                continue
            piece = jax.tree.map(lambda x, i=i, s=start, n=length: x[s : s + n], SEQUENCES[i])
            assert_same(jax.tree.map(lambda x, b=b, n=length: x[:n, b], xs), piece)
            assert length <= (max_length or 70)
            assert labels["speaker"][b] == i
            np.testing.assert_array_equal(labels["point"][b], LABELS["point"][i])
            seen[i][start : start + length] += 1
            rows[i] += 1
    assert all((counts == 1).all() for counts in seen)
    assert rows.tolist() == [max(1, -(-n // int(max_length or 70))) for n in LENGTHS]
    assert len(batches) == -(-rows.sum() // batch_size)


def test_a_minibatch_is_padded_as_by_pad_to_bucket():
    for batch in data.minibatches(SEQUENCES, 3, seed=1, drop_remainder=True):
        padded = data.pad_to_bucket([SEQUENCES[i] for i in batch.indices])
        assert_same((batch.xs, batch.mask), tuple(padded))


def test_the_order_is_that_of_the_seed_and_the_epoch():
    """In numbers, because a run must resume after another version of NumPy is installed."""
    make = functools.partial(data.minibatches, SEQUENCES, 5)
    assert order(make(seed=7, epoch=3)) == WRITTEN
    assert order(make(seed=np.uint16(7), epoch=np.int8(3))) == WRITTEN
    orders = [order(make(seed=seed, epoch=epoch)) for seed in (0, 1, 5) for epoch in (0, 1, 2**32)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])


def test_without_a_seed_from_the_shortest_bucket_to_the_longest():
    batches = data.minibatches(SEQUENCES, 5)
    assert order(batches) == [[0, 1, 2, -1, -1], [4, 5, 7, 9, 11], [12, 8, 6, 10, 3]]
    assert [len(batch.mask) for batch in batches] == [16, 16, 128]
    assert order(data.minibatches(SEQUENCES, 5, epoch=4)) == order(batches)


def test_resuming_is_slicing():
    batches = data.minibatches(SEQUENCES, 2, seed=3, labels=LABELS)
    assert len(batches) == 7
    for n in range(8):
        assert_same(list(batches[n:]), list(batches)[n:])
        assert len(batches[n:]) == 7 - n
    assert_same(batches[-1], list(batches)[6])
    with pytest.raises(IndexError):
        batches[7]
    with pytest.raises(TypeError):
        batches[[0, 1]]


def test_rows_of_padding_are_few_and_beside_the_shortest():
    for epoch in range(5):
        batches = list(data.minibatches(SEQUENCES, 4, seed=0, epoch=epoch))
        with_filler = [batch for batch in batches if (batch.indices < 0).any()]
        assert [len(batch.mask) for batch in with_filler] == [16]
        assert with_filler[0].indices.tolist()[1:] == [-1, -1, -1]


def test_what_is_dropped_is_another_part_in_each_epoch():
    dropped = set()
    for epoch in range(40):
        batches = data.minibatches(SEQUENCES, 5, seed=0, epoch=epoch, drop_remainder=True)
        kept = np.concatenate([batch.indices for batch in batches])
        assert len(set(kept)) == len(kept) == 10
        assert kept.min() >= 0
        dropped |= set(range(COUNT)) - set(kept)
    assert dropped == set(range(COUNT))


def test_a_step_compiles_once_for_each_bucket():
    step = jax.jit(lambda batch: jnp.where(batch.mask[..., None], batch.xs[0], 0).sum())
    with compilations() as compiled:
        for epoch in range(4):
            for batch in data.minibatches(SEQUENCES, 3, seed=0, epoch=epoch):
                step(batch)
    assert len(compiled) <= 4  # 16, 32, 64, 128


def real_share(batches):
    return sum(b.mask.sum() for b in batches) / sum(b.mask.size for b in batches)


def test_little_is_padding():
    """Three quarters of the steps are real where all lengths are as likely, instead of half."""
    lengths = np.random.default_rng(0).integers(1, 513, 2000)
    sequences = [np.zeros(n, bool) for n in lengths]
    batches = list(data.minibatches(sequences, 16, seed=0))
    assert real_share(batches) > 0.73
    ungrouped = [data.pad_to_bucket(sequences[i : i + 16]) for i in range(0, 2000, 16)]
    assert real_share(ungrouped) < 0.52
    mixed = 0
    for batch in batches:
        steps = batch.mask.sum(0)[batch.indices >= 0]
        if len(batch.mask) > 16 and (2 * steps <= len(batch.mask)).any():
            mixed += 1
    assert mixed <= 5  # one less than there are buckets
    # Pieces that fill a bucket hold more.
    assert real_share(list(data.minibatches(sequences, 16, max_length=32))) > 0.96


def test_sequences_without_steps_keep_their_labels():
    (batch,) = data.minibatches([np.zeros((0, 2))] * 2, 3, labels=np.array([4, 5]), smallest=2)
    assert batch.xs.shape == (2, 3, 2)
    assert batch.indices.tolist() == [0, 1, -1]
    assert batch.labels.tolist() == [4, 5, 0]


@pytest.mark.parametrize("dtype", [bool, np.int8, jnp.bfloat16, np.complex64])
def test_labels_keep_their_dtype(dtype):
    labels = jnp.ones((COUNT, 3), dtype)
    batch = data.minibatches(SEQUENCES, 4, labels=(labels, None))[0]
    assert batch.labels[0].dtype == dtype
    assert batch.labels[0].shape == (4, 3)
    assert np.asarray(labels).all()  # rows of padding are zeros of a copy


WRONG = {
    "no sequences": ({"sequences": []}, ValueError, "`sequences` must hold at least one"),
    "unlike sequences": (
        {"sequences": [np.ones(2), (np.ones(2), np.ones(2))]},
        ValueError,
        "`sequences` must be alike",
    ),
    "no rows": ({"batch_size": 0}, ValueError, "`batch_size` must be a positive integer, got 0"),
    "a broken row": ({"batch_size": 2.0}, TypeError, "`batch_size` must be a positive integer"),
    "no length": ({"max_length": 0}, ValueError, "`max_length` must be a positive integer, got 0"),
    "a rest of a length": ({"max_length": 1.5}, TypeError, "`max_length` must be a positive"),
    "no bucket": ({"smallest": 0}, ValueError, "`smallest` must be a positive integer, got 0"),
    "a negative seed": ({"seed": -1}, ValueError, "`seed` must be 0 or more, got -1"),
    "a key": ({"seed": jax.random.key(0)}, TypeError, "`seed` must be an integer"),
    "a negative epoch": ({"epoch": -1}, ValueError, "`epoch` must be 0 or more, got -1"),
    "half an epoch": ({"epoch": 0.5}, TypeError, "`epoch` must be an integer, got 0.5"),
    "perhaps dropped": (
        {"drop_remainder": 1},
        TypeError,
        "`drop_remainder` must be True or False, got 1",
    ),
    "all is dropped": (
        {"drop_remainder": True, "batch_size": 14},
        ValueError,
        "`drop_remainder` leaves nothing: `batch_size` is 14, and there are 13 rows",
    ),
    "a list of labels": (
        {"labels": [0] * COUNT},
        TypeError,
        "`labels` must be an array or a pytree of arrays, got int",
    ),
    "labels of too few": (
        {"labels": np.zeros(12)},
        ValueError,
        r"`labels` must be \(N, ...\), with one entry for each of the 13 `sequences`, got "
        r"float64\(12,\)",
    ),
    "one label": ({"labels": np.zeros(())}, ValueError, r"`labels` must be \(N, ...\)"),
    "words as labels": (
        {"labels": np.array(["a"] * COUNT)},
        TypeError,
        "`labels` must be numbers or bools",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_named(case):
    """In the call, before the first minibatch is read."""
    changes, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        data.minibatches(**{"sequences": SEQUENCES, "batch_size": 2} | changes)
