"""Bucket lengths, padding to buckets, and the number of programs that are compiled."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import jaxrnn
from jaxrnn import data
from tests.laws.compiled import compilations
from tests.laws.tables import H, I, assert_close


def test_buckets():
    lengths = [data.bucket_length(n) for n in (0, 1, 16, 17, 32, 33, 512, 513)]
    assert lengths == [16, 16, 16, 32, 32, 64, 512, 1024]
    assert [data.bucket_length(np.int32(n), smallest=5) for n in (5, 6, 11, 21)] == [
        5,
        10,
        20,
        40,
    ]
    assert [data.bucket_length(n, smallest=1) for n in (0, 1, 2, 3, 5)] == [1, 1, 2, 4, 8]


def test_padded_to_the_bucket_of_the_longest():
    sequences = [np.ones((3, I)), np.ones((0, I)), np.ones((17, I))]
    xs, mask = data.pad_to_bucket(sequences)
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
    rng = np.random.default_rng(0)
    sequences = [rng.normal(size=(n, 2)) for n in rng.integers(0, 513, 1000)]
    with compilations() as compiled:
        pooled = [run(*data.pad_to_bucket([x])) for x in sequences]
    assert len(compiled) <= 10
    last = max(range(1000), key=lambda i: len(sequences[i]))
    assert_close(pooled[last][0], exact(sequences[last])[1][-1], 1e-13)
