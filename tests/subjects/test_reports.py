"""Faults that users of other libraries reported: none of them is here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import losses

LOGITS = jnp.log(jnp.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]]))


# OpenNMT-py#654, ultralytics#15782
@pytest.mark.parametrize("array", [np.array, jnp.array])
def test_lengths_in_8_bits_count_beyond_255(array):
    mask = jaxrnn.length_mask(array([0, 44, 255], np.uint8), 300)
    np.testing.assert_array_equal(mask.sum(axis=0), [0, 44, 255])


# MindAct#1633
def test_scores_of_what_is_not_allowed_are_minus_infinity():
    allowed = np.array([[True, True, False], [True, True, True], [True, False, True]])
    logits, labels = jnp.where(allowed, LOGITS, -jnp.inf), np.array([1, 0, 2])
    value, gradient = jax.value_and_grad(losses.cross_entropy)(logits, labels)
    p = np.where(allowed, np.exp(LOGITS), 0)
    p /= p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(value, -np.log(p[range(3), labels]).mean())
    np.testing.assert_allclose(gradient, (p - np.eye(3)[labels]) / 3)


# stable-baselines#453
def test_actions_masked_by_the_lowest_float():
    lowest = jnp.finfo(jnp.float32).min
    logits = LOGITS.astype(jnp.float32).at[:, 2].set(lowest)
    labels = jnp.array([0, 1, 1])
    for loss in (losses.cross_entropy, losses.perplexity):
        value, gradient = jax.jit(jax.value_and_grad(loss))(logits, labels)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
        assert not gradient[:, 2].any()


# chainer#2046
def test_minus_one_is_not_the_last_class():
    labels = np.array([1, -1, 2])
    with pytest.raises(ValueError, match=r"`labels` must be from 0 to 2.*`ignore_label`"):
        losses.cross_entropy(LOGITS, labels)
    got = losses.cross_entropy(LOGITS, labels, ignore_label=-1)
    np.testing.assert_allclose(got, -np.log([0.5, 0.8]).mean())


# Paddle#36891
def test_minus_100_is_not_class_900_of_1000():
    logits, labels = jnp.zeros((2, 1000)).at[0, 900].set(9.0), jnp.array([-100, 3])
    assert np.isnan(jax.jit(losses.cross_entropy)(logits, labels))
    np.testing.assert_allclose(
        losses.cross_entropy(logits, labels, ignore_label=-100), np.log(1000)
    )
    assert losses.accuracy(logits, jnp.array([-100, 0]), ignore_label=-100) == 1


# RWKV-LM#346
def test_a_symbol_beyond_the_vocabulary_does_not_pass():
    layer = jaxrnn.embed(10, 4)
    params = layer.init(jax.random.key(0), jnp.zeros(1, int))
    for symbols in (np.array([2**32 + 3]), np.array([2**32 - 1], np.uint32), np.array([10])):
        with pytest.raises(ValueError, match="`xs` must be from 0 to 9, got values from"):
            layer.apply(params, None, symbols)
        assert np.isnan(jax.jit(layer.apply)(params, None, symbols)[1]).all()


# pytorch#183608
def test_a_negative_symbol_is_not_a_row_from_the_end():
    layer = jaxrnn.embed(10, 4)
    table = jaxrnn.layers.EmbedParams(jnp.ones((16, 4)))  # padded to a multiple of 8 rows
    symbols = jnp.array([3, -1], jnp.int8)
    with pytest.raises(ValueError, match="`xs` must be from 0 to 9, got values from -1"):
        layer.apply(table, None, symbols)
    ys = jax.jit(layer.apply)(table, None, symbols)[1]
    np.testing.assert_array_equal(np.isnan(ys).all(axis=1), [False, True])
