"""CTC decoding, beside sums over every alignment."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.decode import ctc_beam_search, ctc_greedy

T, B, K = 5, 4, 3
LOGITS = 2 * np.asarray(jax.random.normal(jax.random.key(0), (T, B, K), jnp.float64))
MASK = np.array(jaxrnn.length_mask(jnp.array([5, 3, 0, 4]), T))
MASK[:, 3] = [True, False, True, True, True]  # a hole
POISONED = np.where(MASK[..., None], LOGITS, np.nan)


def labels_of(alignment, blank):
    return tuple(k for k, _ in itertools.groupby(alignment) if k != blank)


def every_labelling(logits, blank):
    """log p of every label sequence of the frames (T', K), summed over its alignments."""
    log_p = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    found = {}
    for alignment in itertools.product(range(K), repeat=len(logits)):
        labels = labels_of(alignment, blank)
        p = sum(log_p[t, k] for t, k in enumerate(alignment))
        found[labels] = np.logaddexp(found.get(labels, -np.inf), p)
    return sorted(found.items(), key=lambda pair: -pair[1])


def read(labels, row, place=None):
    symbols, mask, _ = (np.asarray(x) for x in labels)
    symbols, mask = symbols[:, row], mask[:, row]
    if place is not None:
        symbols, mask = symbols[:, place], mask[:, place]
    count = int(mask.sum())
    assert mask[:count].all()  # in the first steps
    assert (symbols[count:] == 0).all()
    return tuple(symbols[:count].tolist())


@pytest.mark.parametrize("blank", [0, 2])
def test_a_wide_search_sums_over_every_alignment(blank):
    found = jax.jit(lambda x: ctc_beam_search(x, 200, MASK, blank=blank))(POISONED)
    for row in range(B):
        want = every_labelling(LOGITS[MASK[:, row], row], blank)
        scores = np.asarray(found.scores[row])
        np.testing.assert_allclose(scores[: len(want)], [p for _, p in want], rtol=1e-10)
        assert (scores[len(want) :] == -np.inf).all()
        for place, (labels, _) in enumerate(want):
            assert read(found, row, place) == labels


def prefixes_by_hand(logits, beams, blank):
    """The definition, with a dictionary of prefixes."""
    p = np.exp(logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True))
    best = {(): (1.0, 0.0)}  # the probability of ending in a blank, and of not
    for frame in p:
        new = {}

        def add(prefix, in_blank, in_label, new=new):
            a, b = new.get(prefix, (0.0, 0.0))
            new[prefix] = a + in_blank, b + in_label

        for prefix, (in_blank, in_label) in best.items():
            add(prefix, (in_blank + in_label) * frame[blank], 0.0)
            for k in set(range(K)) - {blank}:
                if prefix and k == prefix[-1]:
                    add(prefix, 0.0, in_label * frame[k])
                    add((*prefix, k), 0.0, in_blank * frame[k])
                else:
                    add((*prefix, k), 0.0, (in_blank + in_label) * frame[k])
        # A prefix that is not kept is forgotten, with its alignments.
        best = dict(sorted(new.items(), key=lambda pair: -sum(pair[1]))[:beams])
    return [(prefix, np.log(sum(pair))) for prefix, pair in best.items()]


@pytest.mark.parametrize("beams", [pytest.param(1, marks=pytest.mark.thorough), 3])
def test_a_narrow_search(beams):
    logits = np.asarray(jax.random.normal(jax.random.key(beams), (12, 3, K), jnp.float64))
    found = ctc_beam_search(logits, beams)
    for row in range(3):
        want = prefixes_by_hand(logits[:, row], beams, 0)
        np.testing.assert_allclose(found.scores[row], [p for _, p in want], rtol=1e-10)
        for place, (labels, _) in enumerate(want):
            assert read(found, row, place) == labels


@pytest.mark.parametrize("blank", [0, 2])
def test_greedy(blank):
    found = ctc_greedy(POISONED, MASK, blank=blank)
    for row in range(B):
        frames = LOGITS[MASK[:, row], row]
        assert read(found, row) == labels_of(frames.argmax(-1), blank)
        log_p = frames - np.logaddexp.reduce(frames, axis=-1, keepdims=True)
        np.testing.assert_allclose(found.scores[row], log_p.max(-1, initial=-99).sum(), rtol=1e-12)


def test_one_sequence_without_a_batch():
    both = ctc_greedy(LOGITS[:, 0]), ctc_beam_search(LOGITS[:, 0], 3)
    batched = ctc_greedy(LOGITS), ctc_beam_search(LOGITS, 3)
    for alone, of_all in zip(both, batched, strict=True):
        np.testing.assert_array_equal(alone.symbols, of_all.symbols[:, 0])
        np.testing.assert_allclose(alone.scores, of_all.scores[0], rtol=1e-12)


def test_numbers_that_are_none_and_classes_that_cannot_be():
    logits = LOGITS.copy()
    logits[1, 0, 1] = np.nan
    logits[:, 1, 1:] = -np.inf  # nothing but blanks
    for decode in ctc_greedy, lambda x: ctc_beam_search(x, 3):
        found = decode(logits)
        assert np.isnan(found.scores[0]).all()
        assert (found.symbols[:, 0] == -1).all()
        assert not np.isnan(found.scores[1]).any()
        assert not found.mask[:, 1].any()


@pytest.mark.parametrize("decode", [ctc_greedy, lambda x, **k: ctc_beam_search(x, 2, **k)])
def test_no_frames(decode):
    found = decode(jnp.zeros((0, 2, 3)))
    assert found.symbols.shape[:2] == (0, 2)
    assert found.scores.reshape(2, -1)[0, 0] == 0
