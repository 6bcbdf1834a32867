"""What losses refuse, and what they say: labels out of range, wrong dtypes, wrong options."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import losses
from tests.subjects.test_losses import LABELS, LOGITS, MASK, PREDICTIONS, TARGETS, B, K, T

CLASSES = {
    "cross_entropy": losses.cross_entropy,
    "smoothing": functools.partial(losses.cross_entropy, smoothing=0.1),
    "perplexity": losses.perplexity,
    "accuracy": losses.accuracy,
}
every_loss_of_classes = pytest.mark.parametrize("name", CLASSES)
UNIT = jax.nn.sigmoid(TARGETS)
INTEGERS = jnp.ones((T, B, K), jnp.int32)


@every_loss_of_classes
@pytest.mark.parametrize("label", [-1, -100, K, 2**32 + 3, -(2**32)])
def test_a_label_out_of_range_does_not_pass(name, label):
    loss = CLASSES[name]
    wrong = np.array(LABELS, np.int64)
    wrong[2, 0] = label
    for labels in (wrong, jnp.asarray(wrong)):
        with pytest.raises(ValueError, match=rf"`labels` must be from 0 to 4, got.* {label}"):
            loss(LOGITS, labels)
        with pytest.raises(ValueError, match="`labels` must be from 0 to 4"):
            jax.jit(lambda x, labels=labels: loss(x, labels))(LOGITS)
    for mask in (None, MASK):
        value, gradient = jax.jit(jax.value_and_grad(loss))(LOGITS, wrong, mask)
        assert np.isnan(value)
        assert name == "accuracy" or np.isnan(gradient[2, 0]).all()


@every_loss_of_classes
@pytest.mark.parametrize("label", [-1, -100, K, 2**32 + 3])
def test_a_label_that_is_masked_never_counts(name, label):
    loss = CLASSES[name]
    poisoned = jnp.where(MASK, LABELS, label)
    for run in (jax.value_and_grad(loss), jax.jit(jax.value_and_grad(loss))):
        for labels in (poisoned, np.asarray(poisoned)):
            got = run(LOGITS, labels, MASK)
            jax.tree.map(np.testing.assert_array_equal, got, run(LOGITS, LABELS, MASK))


@every_loss_of_classes
@pytest.mark.parametrize("label", [-100, 0, K - 1])
def test_an_ignored_label_is_masked(name, label):
    """Whether or not it is a class; as `ignore_index` in torch."""
    loss = CLASSES[name]
    padded = jnp.where(MASK, LABELS, label)
    for mask in (None, MASK, MASK[:, 0]):
        kept = padded != label
        kept = kept if mask is None else kept & jnp.broadcast_to(mask.reshape(T, -1), kept.shape)
        for run in (loss, jax.jit(loss, static_argnames="ignore_label")):
            got = run(LOGITS, padded, mask, ignore_label=label)
            np.testing.assert_array_equal(got, run(LOGITS, jnp.where(kept, padded, 0), kept))
    with_others = np.array(padded).astype(np.int64)
    with_others[0, 0] = 99
    with pytest.raises(ValueError, match="`labels` must be from 0 to 4"):
        loss(LOGITS, with_others, ignore_label=label)


@every_loss_of_classes
def test_nothing_but_ignored_labels_is_zero(name):
    loss = functools.partial(CLASSES[name], ignore_label=-100)
    value, gradient = jax.value_and_grad(loss)(LOGITS, jnp.full_like(LABELS, -100))
    assert value == (1 if name == "perplexity" else 0)
    assert not gradient.any()


@every_loss_of_classes
def test_an_ignored_label_that_the_dtype_lacks_ignores_nothing(name):
    """-100 in uint8 is 156."""
    logits = jnp.zeros((2, 200)).at[0, 156].set(3.0)
    labels = jnp.array([156, 1], jnp.uint8)
    want = CLASSES[name](logits, labels)
    np.testing.assert_array_equal(CLASSES[name](logits, labels, ignore_label=-100), want)


def test_ignored_labels_are_as_in_torch():
    torch = pytest.importorskip("torch")
    labels = np.where(np.asarray(MASK), np.asarray(LABELS), -100).astype(np.int64)
    want = torch.nn.functional.cross_entropy(
        torch.tensor(np.asarray(LOGITS)).reshape(-1, K),
        torch.tensor(labels).reshape(-1),
        ignore_index=-100,
        label_smoothing=0.1,
    )
    got = losses.cross_entropy(LOGITS, labels, smoothing=0.1, ignore_label=-100)
    np.testing.assert_allclose(got, want.item(), rtol=1e-12)


@pytest.mark.parametrize("label", [2.0, -1.0, np.nan])
def test_binary_labels_out_of_range(label):
    loss = losses.binary_cross_entropy
    wrong = UNIT.at[0, 0, 0].set(label)
    for labels in (wrong, np.asarray(wrong)):
        with pytest.raises(ValueError, match="`labels` must be from 0 to 1, got"):
            loss(LOGITS, labels)
        value, gradient = jax.jit(jax.value_and_grad(loss))(LOGITS, labels)
        assert np.isnan(value)
        assert np.isnan(gradient[0, 0, 0])
    masked = MASK.at[0, 0].set(False)
    got = jax.value_and_grad(loss)(LOGITS, wrong, masked)
    jax.tree.map(np.testing.assert_array_equal, got, jax.value_and_grad(loss)(LOGITS, UNIT, masked))


@pytest.mark.parametrize("values", [[1, 0, 1, 1], [True, False, True, True]])
@pytest.mark.parametrize("array", [np.array, jnp.array])
def test_the_mean_of_hits_is_a_float(values, array):
    got = losses.masked_mean(array(values))
    assert got == 0.75
    assert got.dtype == jnp.result_type(float)
    mask = jnp.array([True, True, True, False])
    np.testing.assert_allclose(losses.masked_mean(array(values), mask), 2 / 3)


def test_a_mask_has_any_leading_axes_of_the_targets():
    each = jax.random.bernoulli(jax.random.key(1), 0.5, (T, B, K))
    got = losses.mean_squared_error(PREDICTIONS, TARGETS, each)
    want = np.square(np.asarray(PREDICTIONS - TARGETS))[np.asarray(each)].mean()
    np.testing.assert_allclose(got, want, rtol=1e-12)
    of_time = losses.mean_squared_error(PREDICTIONS, TARGETS, each[:, 0, 0])
    wide = jnp.broadcast_to(each[:, :1, :1], each.shape)
    np.testing.assert_allclose(of_time, losses.mean_squared_error(PREDICTIONS, TARGETS, wide))


OPTIONS = {
    "smoothing": (lambda v: losses.cross_entropy(LOGITS, LABELS, MASK, smoothing=v), 0.1, 1.0),
    "delta": (lambda v: losses.huber(PREDICTIONS, TARGETS, MASK, delta=v), 0.7, 0.0),
    "quantile": (
        lambda v: losses.quantile_loss(PREDICTIONS, TARGETS, MASK, quantile=v),
        0.9,
        1.0,
    ),
}
every_option = pytest.mark.parametrize("name", OPTIONS)


@every_option
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_option_may_be_any_number(name, dtype):
    loss, right, _ = OPTIONS[name]
    want = loss(right)
    for value in (dtype(right), np.array(right, dtype), jnp.array(right, dtype)):
        np.testing.assert_allclose(loss(value), want, rtol=1e-6)
        assert loss(value).dtype == want.dtype
        np.testing.assert_allclose(jax.jit(loss)(value), want, rtol=1e-6)
    both = jax.vmap(loss)(jnp.array([right, right / 2]))
    np.testing.assert_allclose(both, [want, loss(right / 2)], rtol=1e-12)


@every_option
def test_a_traced_option_out_of_range_gives_nan(name):
    loss, right, wrong = OPTIONS[name]
    assert np.isfinite(jax.grad(loss)(right))
    for value in (wrong, -0.5, np.nan):
        assert np.isnan(jax.jit(loss)(value))


@every_option
@pytest.mark.parametrize("value", [np.nan, -0.5, "limit"])
@pytest.mark.parametrize("of", [float, np.float32, np.array, jnp.array])
def test_an_option_out_of_range_is_named(name, value, of):
    loss, _, wrong = OPTIONS[name]
    value = wrong if value == "limit" else value
    with pytest.raises(ValueError, match=f"`{name}` must be a.* number.*, got"):
        loss(of(value))


@every_option
@pytest.mark.parametrize(
    "value", ["1", None, True, [0.1, 0.5], np.array([0.1, 0.5]), 0.5j, jnp.bool_(1)]
)
def test_an_option_that_is_no_number_is_named(name, value):
    with pytest.raises(TypeError, match=f"`{name}` must be a.* number.*, got"):
        OPTIONS[name][0](value)


FLOATING = {
    "logits": [
        lambda x: losses.cross_entropy(x, LABELS),
        lambda x: losses.perplexity(x, LABELS),
        lambda x: losses.accuracy(x, LABELS),
        lambda x: losses.binary_cross_entropy(x, UNIT),
    ],
    "predictions": [
        lambda x: losses.mean_squared_error(x, x),
        lambda x: losses.mean_absolute_error(x, x),
        lambda x: losses.huber(x, x),
        lambda x: losses.quantile_loss(x, x, quantile=0.5),
    ],
    "ys": [
        lambda x: losses.activation_penalty(x, MASK),
        lambda x: losses.temporal_activation_penalty(x, MASK),
    ],
}


@pytest.mark.parametrize(("name", "loss"), [(n, loss) for n in FLOATING for loss in FLOATING[n]])
@pytest.mark.parametrize(
    "wrong", [INTEGERS, INTEGERS > 0, LOGITS.astype(complex), [[[1.0]]], None, 3.0]
)
def test_predictions_are_floating_arrays(name, loss, wrong):
    with pytest.raises(TypeError, match=rf"`{name}` must be .*got"):
        loss(wrong)


WRONG = {
    "labels of floats": (
        lambda: losses.cross_entropy(LOGITS, TARGETS),
        TypeError,
        "`labels` must be integers",
    ),
    "labels of a list": (
        lambda: losses.accuracy(LOGITS, LABELS.tolist()),
        TypeError,
        "`labels` must be an array",
    ),
    "no labels": (
        lambda: losses.binary_cross_entropy(LOGITS, None),
        TypeError,
        "`labels` must be an array.*got NoneType",
    ),
    "labels of another shape": (
        lambda: losses.accuracy(LOGITS, LABELS.T),
        ValueError,
        r"`labels` must have shape \(7, 3\).*got \(3, 7\)",
    ),
    "binary labels of integers": (
        lambda: losses.binary_cross_entropy(LOGITS, INTEGERS),
        TypeError,
        r"`labels` must be float64, as `logits` is, got int32.*`labels.astype\(logits.dtype\)`",
    ),
    "no classes": (
        lambda: losses.cross_entropy(LOGITS[..., :0], LABELS),
        ValueError,
        "`logits` must be.*K > 0 classes",
    ),
    "logits of one number": (
        lambda: losses.cross_entropy(LOGITS[0, 0, 0], LABELS[0, 0]),
        ValueError,
        "`logits` must be.*K > 0 classes",
    ),
    "targets of another shape": (
        lambda: losses.huber(PREDICTIONS, TARGETS[..., :1]),
        ValueError,
        r"`targets` must have the shape of `predictions`, \(7, 3, 5\), got \(7, 3, 1\)",
    ),
    "targets of another dtype": (
        lambda: losses.huber(PREDICTIONS, TARGETS.astype(jnp.float32)),
        TypeError,
        r"`targets` must be float64, as `predictions` is, got float32",
    ),
    "targets of a list": (
        lambda: losses.mean_squared_error(PREDICTIONS, TARGETS.tolist()),
        TypeError,
        "`targets` must be an array",
    ),
    "values of a list": (
        lambda: losses.masked_mean([1, 0, 1]),
        TypeError,
        "`values` must be an array",
    ),
    "values of numbers that are no numbers": (
        lambda: losses.masked_mean(np.array(["a"])),
        TypeError,
        "`values` must be numbers or bools",
    ),
    "ignored label of a float": (
        lambda: losses.accuracy(LOGITS, LABELS, ignore_label=-100.0),
        TypeError,
        "`ignore_label` must be an integer or None, got float",
    ),
    "mask of another batch": (
        lambda: losses.mean_squared_error(PREDICTIONS, TARGETS, MASK[:, :2]),
        ValueError,
        r"`mask` must match the leading axes \(T, ...\) of `targets` \(7, 3, 5\), got \(7, 2\)",
    ),
    "mask of the classes": (
        lambda: losses.cross_entropy(LOGITS, LABELS, jnp.ones((T, B, K), bool)),
        ValueError,
        r"`mask` must match the leading axes \(T, ...\) of `labels` \(7, 3\)",
    ),
    "mask of the features": (
        lambda: losses.temporal_activation_penalty(LOGITS, jnp.ones((T, B, K), bool)),
        ValueError,
        "`mask` must match the leading axes.*of `ys` without its features",
    ),
    "resets of another batch": (
        lambda: losses.temporal_activation_penalty(LOGITS, MASK, MASK.T),
        ValueError,
        "`resets` must match the leading axes.*of `ys`",
    ),
    "outputs without features": (
        lambda: losses.temporal_activation_penalty(LOGITS[:, 0, 0]),
        ValueError,
        r"`ys` must be \(T, ..., H\)",
    ),
}
for _name, _loss in {
    "masked_mean": losses.masked_mean,
    "activation_penalty": losses.activation_penalty,
    "temporal_activation_penalty": losses.temporal_activation_penalty,
    "cross_entropy": lambda x, mask: losses.cross_entropy(x, LABELS, mask),
    "huber": lambda x, mask: losses.huber(x, x, mask),
}.items():
    for _mask in ([True] * T, jnp.ones((T, B)), "all"):
        WRONG[f"mask of {_name} as {type(_mask).__name__}"] = (
            functools.partial(_loss, LOGITS, _mask),
            TypeError,
            "`mask` must be",
        )


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_named(case):
    call, exception, message = WRONG[case]
    with pytest.raises(exception, match=message):
        call()


def test_targets_of_numpy_are_taken_in_the_dtype_of_jax():
    """Outside of x64, JAX has no float64, so neither has a loss."""
    with jax.enable_x64(False):
        x, y = np.float64([1.0, 2.0]), np.float64([1.0, 4.0])
        assert losses.mean_squared_error(jnp.asarray(x), y) == 2
        assert losses.mean_squared_error(x, jnp.asarray(y)).dtype == jnp.float32
        logits = jnp.zeros((1, 4), jnp.float32)
        with pytest.raises(
            ValueError, match="`labels` must be from 0 to 3, got values from 4294967299"
        ):
            losses.cross_entropy(logits, np.array([2**32 + 3]))
        masked = jax.jit(lambda mask: losses.cross_entropy(logits, np.array([2**32 + 3]), mask))
        assert np.isnan(masked(np.array([True])))
        assert masked(np.array([False])) == 0
