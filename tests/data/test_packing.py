"""Packing keeps all sequences and separates them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import data
from tests.laws.tables import H, I, assert_close, assert_same


def ragged(count, longest, seed=0, features=(I,)):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, *features)) for n in rng.integers(0, longest + 1, count)]


def test_each_goes_to_the_first_row_with_room():
    sequences = [np.full(n, n) for n in (4, 5, 3, 0, 2, 1)]
    packed = data.pack(sequences, 8)
    assert packed.xs.T.tolist() == [[4, 4, 4, 4, 3, 3, 3, 1], [5, 5, 5, 5, 5, 2, 2, 0]]
    assert packed.segment_ids.T.tolist() == [[0, 0, 0, 0, 2, 2, 2, 5], [1, 1, 1, 1, 1, 4, 4, -1]]
    np.testing.assert_array_equal(packed.mask, packed.segment_ids >= 0)
    assert data.pack(sequences, 8, num_rows=3).xs.shape == (8, 3)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("features", [(), (3,), (2, 3)])
def test_unpack_is_the_inverse(seed, features):
    sequences = ragged(30, 9, seed, features)
    packed = data.pack(sequences, 12)
    assert packed.mask.sum() == sum(map(len, sequences))
    # First fit leaves at most one row half empty.
    assert (packed.mask.sum(axis=0) <= 6).sum() <= 1
    assert_same(data.unpack(packed.xs, packed.segment_ids, 30), sequences)


def test_sequences_without_steps():
    packed = data.pack([np.zeros((0, I))] * 2, 4)
    assert packed.xs.shape == (4, 1, I)
    assert not packed.mask.any()
    assert [x.shape for x in data.unpack(packed.xs, packed.segment_ids, 2)] == [(0, I)] * 2


@pytest.mark.parametrize(
    "layer",
    [
        jaxrnn.rnn(jaxrnn.lstm(H)),
        jaxrnn.stack(jaxrnn.bidirectional(jaxrnn.gru(H)), jaxrnn.bidirectional(jaxrnn.elman(3))),
    ],
    ids=["one way", "two ways"],
)
@pytest.mark.thorough
def test_packed_equals_apart(layer):
    sequences = ragged(7, 5, seed=1)
    assert min(map(len, sequences)) == 0
    packed = data.pack(sequences, 8)
    params = layer.init(jax.random.key(0), packed.xs)
    resets = data.segment_resets(packed.segment_ids)
    _, ys = layer.apply(params, None, packed.xs, mask=packed.mask, resets=resets)
    apart = [layer.apply(params, None, x)[1] for x in sequences]
    unpacked = data.unpack(ys, packed.segment_ids, len(sequences))
    assert_close([jnp.array(y) for y in unpacked], apart, 1e-13)


def test_resets_where_the_segment_changes():
    ids = np.array([[4, 4, 4, 7, 7, -1], [0, 1, 1, 0, 0, 0]]).T
    resets = data.segment_resets(ids)
    assert resets.T.tolist() == [[0, 0, 0, 1, 0, 1], [0, 1, 0, 1, 0, 0]]
    assert data.segment_resets(ids[:0]).shape == (0, 2)


def test_resets_of_a_stream():
    ids = np.array([[4, 4, 4, 7, 7, 9], [0, 1, 1, 0, 0, 0]]).T
    chunks, previous = [], None
    for start, stop in [(0, 2), (2, 2), (2, 3), (3, 6)]:
        chunks.append(jax.jit(data.segment_resets)(ids[start:stop], previous))
        previous = ids[stop - 1]
    np.testing.assert_array_equal(np.concatenate(chunks), data.segment_resets(ids))


NARROW = [jnp.int4, np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64]


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_segment_ids_of_every_dtype(dtype, array):
    """As many segments as the dtype has numbers, but for padding."""
    limits = jnp.iinfo(dtype)
    count = min(int(limits.max) + 1, 300)
    sequences = [np.arange(1 + i % 3) for i in range(count)]
    packed = data.pack(sequences, sum(map(len, sequences)), num_rows=1 if limits.min == 0 else 2)
    ids = array(packed.segment_ids.astype(dtype))
    assert_same(data.unpack(packed.xs, ids, count), sequences)
    resets = data.segment_resets(packed.segment_ids)
    np.testing.assert_array_equal(data.segment_resets(ids), resets)
    second = data.segment_resets(ids[2:], ids[1])
    np.testing.assert_array_equal(second, resets[2:])
    assert resets[:, 0].sum() == count - 1


def test_wide_segment_ids_without_x64():
    """NumPy compares them, because JAX would wrap them to int32."""
    with jax.enable_x64(False):
        ids = np.array([7, 7 + 2**32, 7 + 2**32])
        assert data.segment_resets(ids).tolist() == [False, True, False]
        assert data.segment_resets(ids[1:], ids[0]).tolist() == [True, False]


def test_unpack_a_tree():
    sequences = ragged(6, 9)
    packed = data.pack(sequences, 12)
    apart = data.unpack({"a": packed.xs, "b": (packed.mask,)}, packed.segment_ids, 6)
    for got, x in zip(apart, sequences, strict=True):
        np.testing.assert_array_equal(got["a"], x)
        assert got["b"][0].shape == x.shape[:1]
    with pytest.raises(ValueError, match="`ys` holds no array"):
        data.unpack((), packed.segment_ids, 6)
    with pytest.raises(ValueError, match=r"`segment_ids`.* must match"):
        data.unpack((packed.xs, packed.xs.T), packed.segment_ids, 6)


def test_no_rank_is_promoted():
    """Programs may have JAX refuse it: `jax_numpy_rank_promotion`."""
    ids = jnp.array([[4, 4, 7], [0, 1, 1]]).T
    with jax.numpy_rank_promotion("raise"):
        assert data.segment_resets(ids).sum() == 2
        assert data.segment_resets(ids, ids[-1]).sum() == 4
