"""Packing keeps all sequences and separates them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import data
from tests.laws.tables import H, I, assert_close, assert_same

pytestmark = pytest.mark.usefixtures("quick_compilation")


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
