"""Losses of padded sequences, against NumPy on the real steps alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import losses
from tests.subjects import alignments

T, B, K = 7, 3, 5
KEYS = jax.random.split(jax.random.key(0), 4)
MASK = jaxrnn.length_mask(jnp.array([7, 0, 4]), T)
LOGITS = jax.random.normal(KEYS[0], (T, B, K))
LABELS = jax.random.randint(KEYS[1], (T, B), 0, K)
PREDICTIONS = jax.random.normal(KEYS[2], (T, B, K))
TARGETS = jax.random.normal(KEYS[3], (T, B, K))
UNIT = jax.nn.sigmoid(TARGETS)
SCALES = LOGITS / 2
QUANTILES = [0.1, 0.25, 0.5, 0.75, 0.9]
HISTORY = jnp.cumsum(TARGETS, axis=0)
SYMBOLS = np.array([[1, 3, 2], [1, 4, 3]])
JOINED = jax.random.normal(jax.random.key(4), (3, B, K))
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


def log_density(means, scales, targets):
    means, scales, targets = (np.asarray(x) for x in (means, scales, targets))
    z = (targets - means) / np.exp(scales)
    return -(z**2) / 2 - scales - np.log(2 * np.pi) / 2


def mixture(x):
    return jnp.stack([x, -x], axis=-1), jnp.stack([SCALES, x * 0 + 0.1], axis=-1)


def mixed():
    means, scales = mixture(PREDICTIONS)
    each = log_density(means, scales, TARGETS[..., None, :2]).sum(axis=-1)
    return -np.log((np.exp(log_softmax(np.asarray(LOGITS))) * np.exp(each)).sum(axis=-1))


def pinball():
    error = np.asarray(TARGETS)[..., :1] - np.asarray(PREDICTIONS)
    q = np.array(QUANTILES)
    return np.where(error > 0, q * error, (q - 1) * error)


def f1_of(real):
    predicted, positive = (np.asarray(x)[real] > 0 for x in (LOGITS, TARGETS))
    precision, recall = ((predicted & positive).sum() / x.sum() for x in (predicted, positive))
    return 2 / (1 / precision + 1 / recall)


def scaled_error(real):
    each = []
    for b, k in np.ndindex(B, K):
        history = np.asarray(HISTORY)[:, b, k]
        naive = np.mean([abs(history[s] - history[s - 2]) for s in range(2, T)])
        if real[:, b].any():
            each.append(np.abs(error())[real[:, b], b, k].mean() / naive)
    return np.mean(each)


def over_sequences(loss):
    """The mean of the losses of the sequences that have a real step."""

    def of(real):
        rows = [b for b in range(B) if real[:, b].any()]
        return np.mean([loss(b, real[:, b], SYMBOLS[:, b]) for b in rows])

    return of


def ctc(b, real, symbols):
    return alignments.ctc(np.asarray(LOGITS)[real, b], symbols)[0]


def rnnt(b, real, symbols):
    joint = np.asarray(LOGITS)[real, None, b] + np.asarray(JOINED)[:, b]
    return alignments.rnnt(joint, symbols)[0]


def symbols_of(mask):
    """The real symbols, of the sequences that have a real step."""
    if mask is None:
        return None
    return jnp.broadcast_to(mask.any(axis=0), SYMBOLS.shape)


# name: the loss of (predictions, mask), the predictions, the value at each step, or, in a tuple,
# the value over the steps that are real
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
    "binary labels": (
        lambda x, mask: losses.binary_cross_entropy(x, TARGETS > 0, mask),
        LOGITS,
        lambda: np.logaddexp(0, np.where(TARGETS > 0, -1, 1) * np.asarray(LOGITS)),
    ),
    "binary_accuracy": (
        lambda x, mask: losses.binary_accuracy(x, UNIT, mask),
        LOGITS,
        lambda: ((np.asarray(LOGITS) > 0) == (np.asarray(UNIT) > 0.5)).astype(float),
    ),
    "f1": (
        lambda x, mask: losses.f1(x, TARGETS > 0, mask),
        LOGITS,
        (f1_of,),
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
    "quantiles": (
        lambda x, mask: losses.quantile_loss(x, TARGETS[..., 0], mask, quantile=QUANTILES),
        PREDICTIONS,
        pinball,
    ),
    "gaussian_loss": (
        lambda x, mask: losses.gaussian_loss(x, SCALES, TARGETS, mask),
        PREDICTIONS,
        lambda: -log_density(PREDICTIONS, SCALES, TARGETS),
    ),
    "gaussian_mixture_loss": (
        lambda x, mask: losses.gaussian_mixture_loss(LOGITS, *mixture(x), TARGETS[..., :2], mask),
        PREDICTIONS,
        mixed,
    ),
    "mean_absolute_scaled_error": (
        lambda x, mask: losses.mean_absolute_scaled_error(x, TARGETS, HISTORY, mask, season=2),
        PREDICTIONS,
        (scaled_error,),
    ),
    "ctc_loss": (
        lambda x, mask: losses.ctc_loss(x, SYMBOLS, mask, symbols_of(mask)),
        LOGITS,
        (over_sequences(ctc),),
    ),
    "rnnt_loss": (
        lambda x, mask: losses.rnnt_loss(x[:, None] + JOINED, SYMBOLS, mask, symbols_of(mask)),
        LOGITS,
        (over_sequences(rnnt),),
    ),
    "accuracy": (
        lambda x, mask: losses.accuracy(x, LABELS, mask),
        LOGITS,
        lambda: (np.asarray(LOGITS).argmax(-1) == np.asarray(LABELS)).astype(float),
    ),
}
SCORES = ("accuracy", "binary_accuracy", "f1")  # which have no gradient
every_loss = pytest.mark.parametrize("name", LOSSES)


@every_loss
def test_the_mean_is_that_of_the_real_steps(name):
    loss, x, values = LOSSES[name]
    want = values[0] if isinstance(values, tuple) else lambda real: values()[real].mean()
    np.testing.assert_allclose(jax.jit(loss)(x, MASK), want(REAL), rtol=1e-12)
    np.testing.assert_allclose(loss(x, None), want(np.ones_like(REAL)), rtol=1e-12)


@every_loss
def test_padding_is_never_read(name):
    loss, x, _ = LOSSES[name]
    run = jax.jit(jax.value_and_grad(loss))
    clean = run(jnp.where(MASK[..., None], x, 0), MASK)
    assert name in SCORES or np.abs(clean[1]).max() > 0.01
    for poison in (np.nan, np.inf, -1e300):
        dirty = run(jnp.where(MASK[..., None], x, poison), MASK)
        jax.tree.map(np.testing.assert_array_equal, dirty, clean)
        assert not np.asarray(dirty[1])[~REAL].any()


@every_loss
def test_without_a_real_step_it_is_zero(name):
    loss, x, _ = LOSSES[name]
    run = jax.jit(jax.value_and_grad(loss))
    value, grad = run(jnp.full_like(x, jnp.nan), jnp.zeros_like(MASK))
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


def test_the_scale_is_that_of_real_history():
    """Of pairs a season apart, both of which are real."""
    is_real = np.random.default_rng(0).random((T, B, K)) < 0.7
    is_real[[0, 2]] = True
    history = np.asarray(HISTORY)
    scales = np.zeros((B, K))
    for b, k in np.ndindex(B, K):
        pairs = [(s, s - 2) for s in range(2, T) if is_real[[s, s - 2], b, k].all()]
        scales[b, k] = np.mean([abs(history[s, b, k] - history[r, b, k]) for s, r in pairs])
    poisoned = jnp.where(is_real, HISTORY, jnp.nan)
    loss = jax.value_and_grad(losses.mean_absolute_scaled_error, (0, 2))
    value, gradients = loss(PREDICTIONS, TARGETS, poisoned, None, is_real, season=2)
    np.testing.assert_allclose(value, (np.abs(error()).mean(axis=0) / scales).mean(), rtol=1e-12)
    np.testing.assert_allclose(
        gradients[0], np.broadcast_to(1 / scales, (T, B, K)) * np.sign(error()) / error().size
    )
    assert not gradients[1][~is_real].any()
    assert np.isfinite(gradients[1]).all()


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


def test_a_model_without_numbers_has_no_score():
    nan, labels = jnp.full(4, jnp.nan), jnp.zeros(4, int)
    assert jnp.isnan(losses.binary_accuracy(nan, labels))
    assert jnp.isnan(losses.f1(nan, labels))
    assert jnp.isnan(losses.accuracy(nan[:, None], labels))
    assert jnp.isnan(losses.mean_absolute_scaled_error(nan, jnp.zeros(4), jnp.zeros(5)))
