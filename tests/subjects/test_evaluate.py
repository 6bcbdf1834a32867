"""Scores pooled over batches are the scores of all sequences in one batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.training import evaluate
from tests.laws.compiled import compilations

CLASSES, FEATURES = 3, 2
MODEL = jaxrnn.stack(jaxrnn.rnn(jaxrnn.elman(4)), jaxrnn.dense(CLASSES))


def ragged():
    rng = np.random.default_rng(0)
    lengths = [1, 0, 19, 3, 2, 16, 2, 1, 30, 4, 1]
    return [(rng.normal(size=(n, FEATURES)), rng.integers(0, CLASSES, n)) for n in lengths]


SEQUENCES = ragged()
PARAMS = MODEL.init(jax.random.key(0), SEQUENCES[0][0])


@jax.jit
def score(params, batch):
    (xs, labels), mask = batch.xs, batch.mask
    _, logits = MODEL.apply(params, None, xs, mask=mask)
    means = {
        "loss": jaxrnn.losses.cross_entropy(logits, labels, mask),
        "accuracy": jaxrnn.losses.accuracy(logits, labels, mask),
    }
    return means, mask.sum()


def batches(batch_size, seed=None):
    return jaxrnn.data.minibatches(SEQUENCES, batch_size, seed=seed)


def test_equals_one_batch_of_all():
    with compilations() as compiled:
        pooled = evaluate(score, PARAMS, batches(2))
    assert len(compiled) == 2  # buckets
    (everything,) = batches(len(SEQUENCES))
    whole, count = score(PARAMS, everything)
    assert count == sum(len(x) for x, _ in SEQUENCES)
    for name, value in whole.items():
        np.testing.assert_allclose(pooled[name], value, rtol=1e-12)
    (xs, labels), mask = everything.xs, everything.mask
    _, logits = MODEL.apply(PARAMS, None, xs, mask=mask)
    perplexity = jaxrnn.losses.perplexity(logits, labels, mask)
    np.testing.assert_allclose(np.exp(pooled["loss"]), perplexity, rtol=1e-12)

    shuffled = evaluate(score, PARAMS, batches(2, seed=1))
    np.testing.assert_allclose(shuffled["loss"], pooled["loss"], rtol=1e-12)
    mean_of_means = np.mean([score(PARAMS, batch)[0]["loss"] for batch in batches(2)])
    assert abs(mean_of_means - whole["loss"]) > 1e-3


def pairs(*results):
    """The results of `evaluate` for batches that are their own results."""
    return evaluate(lambda params, result: result, None, results)


def test_weights_of_each_mean_and_of_each_class():
    per_class = np.array([0.5, 1.0, np.nan]), np.array([2, 1, 0])
    means, weights = {"a": 1.0, "b": (per_class[0],)}, {"a": 3, "b": (per_class[1],)}
    other = {"a": jnp.float32(3), "b": (jnp.array([0.0, 4.0, 1.0]),)}
    pooled = pairs((means, weights), (other, {"a": jnp.int32(1), "b": (jnp.array([2, 3, 0]),)}))
    assert pooled["a"] == 1.5
    np.testing.assert_array_equal(pooled["b"][0], [0.25, 3.25, np.nan])
    assert pooled["b"][0].dtype == np.float64


def test_a_batch_without_real_steps_does_not_count():
    for nothing in (0.0, np.nan, np.inf):
        assert pairs((nothing, 0), (2.0, np.float32(5)), (nothing, False)) == 2.0
    assert np.isnan(pairs((0.0, 0)))
    assert np.isnan(pairs((np.nan, 1), (0.0, 1)))


def test_sums_are_exact():
    """In float32 the 2 would be lost, and in bfloat16 the 1, too."""
    many = 2**24
    one, two = jnp.ones((), jnp.bfloat16), jnp.full((), 2, jnp.float32)
    assert pairs((one, jnp.int32(many)), (two, 1)) == (many + 2) / (many + 1)


def test_arguments_in_another_order_are_told():
    with pytest.raises(TypeError, match="`score` must be a function"):
        evaluate(PARAMS, batches(2), lambda params, batch: (1.0, 1))
    with pytest.raises(TypeError, match="`batches` must be an iterable of batches, got function"):
        evaluate(lambda params, batch: (1.0, 1), PARAMS, lambda: batches(2))


WRONG = {
    "no batch": ((), ValueError, "`batches` must hold at least one batch, got none"),
    "no weight": ((1.0,), TypeError, r"`score` must return a pair \(means, weights\), got float"),
    "three": (((1.0, 1, 1),), TypeError, r"`score` must return a pair"),
    "weights unlike the means": (
        (({"a": 1.0, "b": 1.0}, {"a": 1}),),
        ValueError,
        "`score` must return one weight for all its means, or a tree of weights like",
    ),
    "means of another structure": (
        ((1.0, 1), ((1.0,), 1)),
        ValueError,
        "`score` must return means of one structure.*for batch 1",
    ),
    "means for each step": (
        ((np.ones(4), 4), (np.ones(2), 2)),
        ValueError,
        r"shape does not depend on the batch.*got means \(4,\).*means \(2,\).*for batch 1",
    ),
    "a mask as the weight": (
        ((1.0, np.ones((4, 2), bool)),),
        ValueError,
        r"a number as its weight.*weights \(4, 2\) for batch 0",
    ),
    "a negative weight": (((1.0, -1),), ValueError, "weights of 0 or more, got -1.0 for batch 0"),
    "NaN as a weight": (((1.0, np.nan),), ValueError, "weights of 0 or more, got nan"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_score_is_named(case):
    results, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        pairs(*results)
