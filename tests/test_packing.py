"""Packing and buckets: nothing is lost, nothing is mixed, and few programs are compiled."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.compiled import compilations
from tests.tables import H, I, assert_close, assert_same

pytestmark = pytest.mark.usefixtures("quick_compilation")


def ragged(count, longest, seed=0, features=(I,)):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, *features)) for n in rng.integers(0, longest + 1, count)]


def test_each_goes_to_the_first_row_with_room():
    sequences = [np.full(n, n) for n in (4, 5, 3, 0, 2, 1)]
    packed = jaxrnn.pack(sequences, 8)
    assert packed.xs.T.tolist() == [[4, 4, 4, 4, 3, 3, 3, 1], [5, 5, 5, 5, 5, 2, 2, 0]]
    assert packed.segment_ids.T.tolist() == [[0, 0, 0, 0, 2, 2, 2, 5], [1, 1, 1, 1, 1, 4, 4, -1]]
    np.testing.assert_array_equal(packed.mask, packed.segment_ids >= 0)
    assert jaxrnn.pack(sequences, 8, num_rows=3).xs.shape == (8, 3)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("features", [(), (3,), (2, 3)])
def test_unpack_is_the_inverse(seed, features):
    sequences = ragged(30, 9, seed, features)
    packed = jaxrnn.pack(sequences, 12)
    assert packed.mask.sum() == sum(map(len, sequences))
    # First fit leaves at most one row half empty.
    assert (packed.mask.sum(axis=0) <= 6).sum() <= 1
    assert_same(jaxrnn.unpack(packed.xs, packed.segment_ids, 30), sequences)


def test_sequences_without_steps():
    packed = jaxrnn.pack([np.zeros((0, I))] * 2, 4)
    assert packed.xs.shape == (4, 1, I)
    assert not packed.mask.any()
    assert [x.shape for x in jaxrnn.unpack(packed.xs, packed.segment_ids, 2)] == [(0, I)] * 2


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
    packed = jaxrnn.pack(sequences, 8)
    params = layer.init(jax.random.key(0), packed.xs)
    resets = jaxrnn.segment_resets(packed.segment_ids)
    _, ys = layer.apply(params, None, packed.xs, mask=packed.mask, resets=resets)
    apart = [layer.apply(params, None, x)[1] for x in sequences]
    unpacked = jaxrnn.unpack(ys, packed.segment_ids, len(sequences))
    assert_close([jnp.array(y) for y in unpacked], apart, 1e-13)


def test_resets_where_the_segment_changes():
    ids = np.array([[4, 4, 4, 7, 7, -1], [0, 1, 1, 0, 0, 0]]).T
    resets = jaxrnn.segment_resets(ids)
    assert resets.T.tolist() == [[0, 0, 0, 1, 0, 1], [0, 1, 0, 1, 0, 0]]
    assert jaxrnn.segment_resets(ids[:0]).shape == (0, 2)


def test_resets_of_a_stream():
    ids = np.array([[4, 4, 4, 7, 7, 9], [0, 1, 1, 0, 0, 0]]).T
    chunks, previous = [], None
    for start, stop in [(0, 2), (2, 2), (2, 3), (3, 6)]:
        chunks.append(jax.jit(jaxrnn.segment_resets)(ids[start:stop], previous))
        previous = ids[stop - 1]
    np.testing.assert_array_equal(np.concatenate(chunks), jaxrnn.segment_resets(ids))


def test_buckets():
    lengths = [jaxrnn.bucket_length(n) for n in (0, 1, 16, 17, 32, 33, 512, 513)]
    assert lengths == [16, 16, 16, 32, 32, 64, 512, 1024]
    assert [jaxrnn.bucket_length(np.int32(n), smallest=5) for n in (5, 6, 11, 21)] == [
        5,
        10,
        20,
        40,
    ]
    assert [jaxrnn.bucket_length(n, smallest=1) for n in (0, 1, 2, 3, 5)] == [1, 1, 2, 4, 8]


def test_padded_to_the_bucket_of_the_longest():
    sequences = [np.ones((3, I)), np.ones((0, I)), np.ones((17, I))]
    xs, mask = jaxrnn.pad_to_bucket(sequences)
    assert xs.shape == (32, 3, I)
    np.testing.assert_array_equal(mask, jaxrnn.length_mask(jnp.array([3, 0, 17]), 32))
    np.testing.assert_array_equal(xs, np.broadcast_to(mask[..., None], xs.shape))


def test_a_thousand_lengths_compile_few_programs():
    layer = jaxrnn.rnn(jaxrnn.gru(H))
    params = layer.init(jax.random.key(0), jnp.ones((1, 1, 2)))

    @jax.jit
    def run(xs, mask):
        return jaxrnn.pool_last(layer.apply(params, None, xs, mask=mask)[1], mask)

    exact = functools.partial(layer.apply, params, None)
    sequences = ragged(1000, 512, features=(2,))
    with compilations() as compiled:
        pooled = [run(*jaxrnn.pad_to_bucket([x])) for x in sequences]
    assert len(compiled) <= 10
    last = max(range(1000), key=lambda i: len(sequences[i]))
    assert_close(pooled[last][0], exact(sequences[last])[1][-1], 1e-13)
