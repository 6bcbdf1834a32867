"""Edit distances beside the recursion of their definition."""

import functools

import jax
import numpy as np
import pytest

from jaxrnn.decode import edit_distance, error_rate


@functools.cache
def by_definition(a, b):
    if not a or not b:
        return len(a) + len(b)
    replaced = by_definition(a[1:], b[1:]) + (a[0] != b[0])
    return min(replaced, by_definition(a[1:], b) + 1, by_definition(a, b[1:]) + 1)


def cases(seed, batch=200, num_steps=6, num_targets=8):
    rng = np.random.default_rng(seed)
    symbols, targets = (rng.integers(0, 3, (n, batch)) for n in (num_steps, num_targets))
    mask, target_mask = (rng.random(x.shape) < 0.7 for x in (symbols, targets))
    mask[:, 0] = target_mask[:, 1] = False
    mask[:, 2] = target_mask[:, 2] = False
    return symbols, targets, mask, target_mask


def test_random_sequences_with_padding_anywhere():
    symbols, targets, mask, target_mask = cases(0)
    distances = jax.jit(edit_distance)(symbols, targets, mask, target_mask)
    assert distances.dtype == np.int32
    total = 0
    for row, distance in enumerate(distances):
        a = tuple(symbols[mask[:, row], row].tolist())
        b = tuple(targets[target_mask[:, row], row].tolist())
        assert distance == by_definition(a, b)
        total += by_definition(a, b)
    rate = error_rate(symbols, targets, mask, target_mask)
    np.testing.assert_allclose(rate, total / target_mask.sum(), rtol=1e-6)


def test_words():
    kitten, sitting = (np.frombuffer(word, np.uint8) for word in (b"kitten", b"sitting"))
    assert edit_distance(kitten, sitting) == 3
    assert edit_distance(kitten.astype(np.int16), sitting) == 3
    assert edit_distance(kitten, kitten) == 0
    np.testing.assert_allclose(error_rate(kitten, sitting), 3 / 7, rtol=1e-6)


@pytest.mark.parametrize(("count", "rate"), [(0, 0.0), (2, np.inf)])
def test_no_targets(count, rate):
    empty = np.zeros((0, 1), int)
    assert error_rate(np.zeros((count, 1), int), empty) == rate
    assert edit_distance(np.zeros((count, 1), int), empty) == count


def test_a_mask_may_lack_the_batch():
    symbols, targets = np.zeros((3, 2), int), np.ones((3, 2), int)
    assert error_rate(symbols, targets, np.ones(3, bool), np.ones(3, bool)) == 1
    assert error_rate(symbols, targets, np.ones(3, bool), np.array([True, False, False])) == 3


def test_large_symbols_are_told_apart():
    assert edit_distance(np.array([2**40 + 1]), np.array([1])) == 1
    assert edit_distance(np.array([2**32 - 1], np.uint32), np.array([5], np.uint32)) == 1
