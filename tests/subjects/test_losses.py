"""Losses of padded sequences, against NumPy on the real steps alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import losses

T, B, K = 7, 3, 5
KEYS = jax.random.split(jax.random.key(0), 4)
MASK = jaxrnn.length_mask(jnp.array([7, 0, 4]), T)
LOGITS = jax.random.normal(KEYS[0], (T, B, K))
LABELS = jax.random.randint(KEYS[1], (T, B), 0, K)
PREDICTIONS = jax.random.normal(KEYS[2], (T, B, K))
TARGETS = jax.random.normal(KEYS[3], (T, B, K))
UNIT = jax.nn.sigmoid(TARGETS)
REAL = np.asarray(MASK)


def log_softmax(x):
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def at_labels(x):
    return np.take_along_axis(np.asarray(x), np.asarray(LABELS)[..., None], -1)[..., 0]


def error():
    return np.asarray(PREDICTIONS) - np.asarray(TARGETS)


def smoothed():
    log_p = log_softmax(np.asarray(LOGITS))
    target = 0.9 * np.eye(K)[np.asarray(LABELS)] + 0.1 / K
    return -(target * log_p).sum(axis=-1)


def binary():
    p = 1 / (1 + np.exp(-np.asarray(LOGITS)))
    y = np.asarray(UNIT)
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


# name: the loss of (predictions, mask), the predictions, the value at each step
LOSSES = {
    "cross_entropy": (
        lambda x, mask: losses.cross_entropy(x, LABELS, mask),
        LOGITS,
        lambda: -at_labels(log_softmax(np.asarray(LOGITS))),
    ),
    "smoothing": (
        lambda x, mask: losses.cross_entropy(x, LABELS, mask, smoothing=0.1),
        LOGITS,
        smoothed,
    ),
    "binary_cross_entropy": (
        lambda x, mask: losses.binary_cross_entropy(x, UNIT, mask),
        LOGITS,
        binary,
    ),
    "mean_squared_error": (
        lambda x, mask: losses.mean_squared_error(x, TARGETS, mask),
        PREDICTIONS,
        lambda: error() ** 2,
    ),
    "mean_absolute_error": (
        lambda x, mask: losses.mean_absolute_error(x, TARGETS, mask),
        PREDICTIONS,
        lambda: np.abs(error()),
    ),
    "huber": (
        lambda x, mask: losses.huber(x, TARGETS, mask, delta=0.7),
        PREDICTIONS,
        lambda: np.where(np.abs(error()) < 0.7, error() ** 2 / 2, 0.7 * (np.abs(error()) - 0.35)),
    ),
    "quantile_loss": (
        lambda x, mask: losses.quantile_loss(x, TARGETS, mask, quantile=0.9),
        PREDICTIONS,
        lambda: np.where(error() < 0, -0.9 * error(), 0.1 * error()),
    ),
    "accuracy": (
        lambda x, mask: losses.accuracy(x, LABELS, mask),
        LOGITS,
        lambda: (np.asarray(LOGITS).argmax(-1) == np.asarray(LABELS)).astype(float),
    ),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


@every_loss
def test_the_mean_is_that_of_the_real_steps(name):
    loss, x, values = LOSSES[name]
    np.testing.assert_allclose(loss(x, MASK), values()[REAL].mean(), rtol=1e-12)
    np.testing.assert_allclose(loss(x, None), values().mean(), rtol=1e-12)


@every_loss
@pytest.mark.parametrize("poison", [np.nan, np.inf, -1e300])
def test_padding_is_never_read(name, poison):
    loss, x, _ = LOSSES[name]
    run = jax.jit(jax.value_and_grad(loss))
    clean = run(jnp.where(MASK[..., None], x, 0), MASK)
    dirty = run(jnp.where(MASK[..., None], x, poison), MASK)
    jax.tree.map(np.testing.assert_array_equal, dirty, clean)
    assert not np.asarray(dirty[1])[~REAL].any()


@every_loss
def test_without_a_real_step_it_is_zero(name):
    loss, x, _ = LOSSES[name]
    value, grad = jax.value_and_grad(loss)(jnp.full_like(x, jnp.nan), jnp.zeros_like(MASK))
    assert value == 0
    assert not grad.any()


def test_perplexity_is_the_exponential_of_the_cross_entropy():
    np.testing.assert_allclose(
        losses.perplexity(LOGITS, LABELS, MASK),
        np.exp(losses.cross_entropy(LOGITS, LABELS, MASK)),
        rtol=1e-12,
    )


def test_large_logits_overflow_nowhere():
    extreme = jnp.array([[1e4, -1e4], [-1e4, 1e4]], jnp.float32)
    zeros = jnp.zeros(2, jnp.int32)
    np.testing.assert_allclose(losses.cross_entropy(extreme, zeros), 1e4)
    np.testing.assert_allclose(losses.binary_cross_entropy(extreme, jnp.zeros_like(extreme)), 5e3)


def test_activation_penalties():
    poisoned = jnp.where(MASK[..., None], PREDICTIONS, jnp.nan)
    resets = jnp.zeros((T, B), bool).at[3, 0].set(True)
    ys = np.asarray(PREDICTIONS)
    want = np.concatenate([ys[:7, 0], ys[:4, 2]])
    value, grad = jax.value_and_grad(losses.activation_penalty)(poisoned, MASK)
    np.testing.assert_allclose(value, (want**2).mean(), rtol=1e-12)
    assert np.isfinite(grad).all()

    changes = np.concatenate([np.diff(ys[:3, 0], axis=0), np.diff(ys[3:, 0], axis=0)])
    changes = np.concatenate([changes, np.diff(ys[:4, 2], axis=0)])
    penalty = jax.value_and_grad(losses.temporal_activation_penalty)
    value, grad = penalty(poisoned, MASK, resets)
    np.testing.assert_allclose(value, (changes**2).mean(), rtol=1e-12)
    assert np.isfinite(grad).all()

    alike = MASK[:, :1].repeat(B, axis=1)
    value = penalty(PREDICTIONS, MASK[:, 0], resets)[0]
    np.testing.assert_allclose(value, penalty(PREDICTIONS, alike, resets)[0], rtol=1e-12)
    np.testing.assert_allclose(penalty(PREDICTIONS)[0], (np.diff(ys, axis=0) ** 2).mean())
    assert penalty(PREDICTIONS[:1])[0] == 0
