"""What sequences may be: arrays, lists of numbers, and trees of them."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import data

Pair = collections.namedtuple("Pair", ["inputs", "targets"])
LENGTHS = (4, 0, 6, 1)
TREES = {
    "an array": lambda x, y: x,
    "a tuple": lambda x, y: (x, y),
    "a dict": lambda x, y: {"inputs": x, "targets": y},
    "a NamedTuple": Pair,
    "a tree with None": lambda x, y: {"inputs": (x, None), "targets": [y][0]},
    "lists": lambda x, y: (y.tolist(), x),
    "one list": lambda x, y: y.tolist(),
    "arrays of JAX": lambda x, y: (jnp.asarray(x), jnp.asarray(y)),
}
WAYS = {
    "pack": functools.partial(data.pack, length=8),
    "pack_windows": functools.partial(data.pack_windows, window=2, num_rows=2),
    "pad_to_bucket": functools.partial(data.pad_to_bucket, smallest=3),
    "minibatches": lambda x: data.minibatches(x, len(LENGTHS), smallest=8)[0],
}
every_way = pytest.mark.parametrize("way", WAYS)


@every_way
def test_arrays_that_JAX_cannot_read_are_told(way):
    masked = np.ma.masked_array(np.ones(6), np.arange(6) > 3)
    with pytest.raises(TypeError, match=r"`sequences` must be plain arrays, got a masked array"):
        WAYS[way]([masked] * 4)
    with pytest.raises(TypeError, match=r"`sequences` has another byte order"):
        WAYS[way]([np.ones(6, ">f4")] * 4)


def sequences(tree, dtype=np.int64):
    rng = np.random.default_rng(0)
    return [
        TREES[tree](rng.normal(size=(n, 3)), rng.integers(1, 99, n).astype(dtype)) for n in LENGTHS
    ]


def split(batch):
    """The sequences of a batch, whichever way it was made."""
    if isinstance(batch, data.Packed):
        return data.unpack(batch.xs, batch.segment_ids, len(LENGTHS))
    return [jax.tree.map(lambda x, i=i: x[: LENGTHS[i], i], batch.xs) for i in range(len(LENGTHS))]


def assert_equal(got, want):
    is_list = lambda x: isinstance(x, list)  # noqa: E731
    assert jax.tree.structure(got) == jax.tree.structure(want, is_leaf=is_list)
    jax.tree.map(np.testing.assert_array_equal, got, jax.tree.map(np.array, want, is_leaf=is_list))


@every_way
@pytest.mark.parametrize("tree", TREES)
def test_each_comes_back(way, tree):
    given = sequences(tree)
    batch = WAYS[way](given)
    for got, want in zip(split(batch), given, strict=True):
        assert_equal(got, want)
    for leaf in jax.tree.leaves(batch.xs):
        assert leaf.shape[:2] == batch.mask.shape
        assert not leaf[~batch.mask].any()
    assert batch.mask.sum() == sum(LENGTHS)


@every_way
def test_inputs_and_targets_line_up_with_calls_for_each(way):
    both = WAYS[way](sequences("a tuple"))
    inputs, targets = (WAYS[way]([pair[i] for pair in sequences("a tuple")]) for i in (0, 1))
    np.testing.assert_array_equal(both.xs[0], inputs.xs)
    np.testing.assert_array_equal(both.xs[1], targets.xs)
    np.testing.assert_array_equal(both.mask, targets.mask)


@every_way
@pytest.mark.parametrize(
    ("lists", "dtype"),
    [
        ([[1, 2], [], [3]], np.int64),
        ([[], [1.5], []], np.float64),
        ([[True], [False]], bool),
        ([[], []], np.float64),
        ([[], np.ones(2, np.float32)], np.float32),
        ([np.float32([1]).tolist(), [np.float64(3)]], np.float64),
    ],
)
def test_lists_of_numbers(way, lists, dtype):
    """An empty list takes the dtype of the others."""
    batch = WAYS[way](lists)
    assert batch.xs.dtype == dtype
    assert sorted(batch.xs[batch.mask]) == sorted(x for some in lists for x in some)


@every_way
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.int4, np.uint8, bool, np.complex64])
def test_every_dtype_is_kept(way, dtype):
    given = [np.ones((n, 2), dtype) for n in LENGTHS]
    batch = WAYS[way](given)
    assert batch.xs.dtype == dtype
    for got, want in zip(split(batch), given, strict=True):
        np.testing.assert_array_equal(got, want)


WRONG = {
    "an array": (np.ones((3, 4)), TypeError, "`sequences` must be a list.*got float64"),
    "a string": ("abc", TypeError, "`sequences` must be a list.*got str"),
    "a generator": ((x for x in [1]), TypeError, "`sequences` must be a list.*got generator"),
    "nothing": ([], ValueError, "`sequences` must hold at least one"),
    "None": ([None, None], ValueError, "`sequences` must hold arrays.*got None"),
    "numbers": ([1, 2], TypeError, "`sequences` must hold arrays.*got int in number 0"),
    "strings": (["abc"], TypeError, "`sequences` must hold arrays.*got str in number 0"),
    "lists of strings": ([["a"]], TypeError, "got a list of other things as number 0"),
    "tuples of numbers": ([(1, 2)], TypeError, "got int in number 0.*to a list"),
    "lists of lists": ([[[1, 2], [3]]], TypeError, "a list of other things.*tuple"),
    "two lists of arrays": (
        ([np.ones(2)], [np.ones(2)]),
        TypeError,
        r"a list of other things as number 0.*tuple \(inputs, targets\)",
    ),
    "objects": (
        [np.array([None])],
        TypeError,
        "`sequences` must hold numbers or bools, got object",
    ),
    "large integers": ([[2**70]], TypeError, "`sequences` must hold numbers or bools, got object"),
    "keys": (
        [jax.random.split(jax.random.key(0))],
        TypeError,
        "`sequences` must hold numbers or bools, got key",
    ),
    "no time": ([np.ones(2), np.float64(1)], ValueError, "got no time axis in number 1"),
    "features": (
        [np.ones((2, 3)), np.ones((2, 4))],
        ValueError,
        r"number 0 is float64\(2, 3\), number 1 is float64\(2, 4\)",
    ),
    "dtypes": ([[], [1], [0.5]], ValueError, "number 1 is int64.*, number 2 is float64"),
    "trees": (
        [(np.ones(2), np.ones(2)), {"x": np.ones(2)}],
        ValueError,
        "`sequences` must be alike: number 0 is a tree.*number 1 is",
    ),
    "lengths in a tree": (
        [(np.ones(2), np.ones(2)), (np.ones(2), np.ones(3))],
        ValueError,
        r"`sequences` must have one length.*got \[2, 3\] steps in number 1",
    ),
}


@every_way
@pytest.mark.parametrize("case", WRONG)
def test_wrong_sequences_are_named(way, case):
    given, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        WAYS[way](given)
