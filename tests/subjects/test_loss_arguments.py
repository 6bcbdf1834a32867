"""What losses refuse, and what they say: labels out of range, wrong dtypes, wrong options."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import losses
from tests.subjects.test_losses import (
    LABELS,
    LOGITS,
    MASK,
    PREDICTIONS,
    SYMBOLS,
    TARGETS,
    B,
    K,
    T,
)

CLASSES = {
    "cross_entropy": losses.cross_entropy,
    "smoothing": functools.partial(losses.cross_entropy, smoothing=0.1),
    "perplexity": losses.perplexity,
    "accuracy": losses.accuracy,
}
every_loss_of_classes = pytest.mark.parametrize("name", CLASSES)
UNIT = jax.nn.sigmoid(TARGETS)
INTEGERS = jnp.ones((T, B, K), jnp.int32)
JOINED = jnp.zeros((T, len(SYMBOLS) + 1, B, K))


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


@pytest.mark.parametrize("loss", [losses.binary_cross_entropy, losses.binary_accuracy, losses.f1])
def test_binary_labels_are_bools_or_integers_too(loss):
    want = loss(LOGITS, (TARGETS > 0).astype(LOGITS.dtype), MASK)
    for dtype in (bool, np.int8, np.uint8, np.int64, np.uint64):
        labels = np.asarray(TARGETS > 0).astype(dtype)
        for array in (labels, jnp.asarray(labels)):
            np.testing.assert_array_equal(loss(LOGITS, array, MASK), want)
            assert loss(LOGITS.astype(jnp.float16), array, MASK).dtype == jnp.float16
    wrong = np.asarray(TARGETS > 0).astype(np.int64)
    wrong[0, 0, 0] = 2**32 + 1
    masked = MASK.at[0, 0].set(False)
    for logits in (LOGITS, LOGITS.astype(jnp.float16)):
        with pytest.raises(ValueError, match=r"`labels` must be from 0 to 1, got.*4294967297"):
            loss(logits, wrong, MASK)
        run = jax.jit(jax.value_and_grad(loss))
        assert np.isnan(run(logits, wrong, MASK)[0])
        assert all(np.isfinite(got).all() for got in run(logits, wrong, masked))
    with jax.enable_x64(False):
        assert np.isnan(jax.jit(lambda m: loss(jnp.zeros((T, B, K)), wrong, m))(MASK))


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
@pytest.mark.parametrize("value", ["1", None, True, np.array([[0.1, 0.5]]), 0.5j, jnp.bool_(1)])
def test_an_option_that_is_no_number_is_named(name, value):
    with pytest.raises(TypeError, match=f"`{name}` must be a.* number.*, got"):
        OPTIONS[name][0](value)


def test_several_quantiles_are_the_mean_of_each():
    y, levels = TARGETS[..., 0], np.linspace(0.1, 0.9, K)
    each = [
        losses.quantile_loss(PREDICTIONS[..., k], y, MASK, quantile=q) for k, q in enumerate(levels)
    ]
    several = functools.partial(losses.quantile_loss, PREDICTIONS, y, MASK)
    for of in (list, tuple, np.array, jnp.array, np.float32):
        np.testing.assert_allclose(several(quantile=of(levels)), np.mean(each), rtol=1e-6)
    traced = jax.jit(lambda q: several(quantile=q))
    np.testing.assert_allclose(traced(levels), np.mean(each), rtol=1e-12)
    assert np.isnan(traced(levels + 0.5))


FLOATING = {
    "logits": [
        lambda x: losses.cross_entropy(x, LABELS),
        lambda x: losses.perplexity(x, LABELS),
        lambda x: losses.accuracy(x, LABELS),
        lambda x: losses.binary_cross_entropy(x, UNIT),
        lambda x: losses.f1(x, UNIT),
        lambda x: losses.ctc_loss(x, SYMBOLS),
        lambda x: losses.rnnt_loss(x, SYMBOLS),
        lambda x: losses.gaussian_mixture_loss(x, x, x, x),
    ],
    "means": [lambda x: losses.gaussian_loss(x, x, x)],
    "predictions": [
        lambda x: losses.mean_squared_error(x, x),
        lambda x: losses.mean_absolute_error(x, x),
        lambda x: losses.huber(x, x),
        lambda x: losses.quantile_loss(x, x, quantile=0.5),
        lambda x: losses.quantile_loss(x, x, quantile=[0.5, 0.9]),
        lambda x: losses.mean_absolute_scaled_error(x, x, x),
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
    "binary labels of another dtype": (
        lambda: losses.binary_cross_entropy(LOGITS, UNIT.astype(jnp.float32)),
        TypeError,
        r"`labels` must be float64, as `logits` is, got float32.*`labels.astype\(logits.dtype\)`",
    ),
    "binary labels of complex numbers": (
        lambda: losses.f1(LOGITS, UNIT.astype(complex)),
        TypeError,
        "`labels` must be float64, as `logits` is, got complex128",
    ),
    "binary labels of classes": (
        lambda: losses.binary_cross_entropy(LOGITS, LABELS),
        ValueError,
        r"`labels` must have the shape of `logits`, \(7, 3, 5\), got \(7, 3\)\.$",
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
        r"`targets` must have the shape of `predictions`, \(7, 3, 5\), got \(7, 3, 1\)\.$",
    ),
    "targets with an axis of size 1": (
        lambda: losses.huber(PREDICTIONS, TARGETS[..., None]),
        ValueError,
        "`targets` must have the shape of `predictions`.*A last axis of size 1 is not broadcast",
    ),
    "a table of quantiles": (
        lambda: losses.quantile_loss(PREDICTIONS, TARGETS, quantile=np.full((2, 2), 0.5)),
        TypeError,
        r"`quantile` must be a number in \(0, 1\), got float64\(2, 2\). Several are a list",
    ),
    "predictions without quantiles": (
        lambda: losses.quantile_loss(PREDICTIONS, TARGETS, quantile=[0.1, 0.9]),
        ValueError,
        r"`predictions` must be \(7, 3, 5, 2\).*the 2 quantiles. Got \(7, 3, 5\)",
    ),
    "no quantile": (
        lambda: losses.quantile_loss(PREDICTIONS, TARGETS, quantile=[]),
        ValueError,
        "`quantile` must hold one number or more, got none",
    ),
    "one quantile out of range": (
        lambda: losses.quantile_loss(LOGITS[..., :2], TARGETS[..., 0], quantile=(0.1, 1.0)),
        ValueError,
        r"`quantile` must be a number in \(0, 1\), got 1.0",
    ),
    "one quantile of words": (
        lambda: losses.quantile_loss(LOGITS[..., :2], TARGETS[..., 0], quantile=(0.1, "0.9")),
        TypeError,
        r"`quantile` must be a number in \(0, 1\), got str",
    ),
    "mask of the quantiles": (
        lambda: losses.quantile_loss(
            LOGITS[..., :2], TARGETS[..., 0], jnp.ones((T, B, 2), bool), quantile=(0.1, 0.9)
        ),
        ValueError,
        r"`mask` must match the leading axes \(T, ...\) of `targets` \(7, 3\)",
    ),
    "scales of another shape": (
        lambda: losses.gaussian_loss(PREDICTIONS, PREDICTIONS[..., :1], TARGETS),
        ValueError,
        r"`log_scales` must have the shape of `means`, \(7, 3, 5\), got \(7, 3, 1\)",
    ),
    "scales of another dtype": (
        lambda: losses.gaussian_loss(PREDICTIONS, PREDICTIONS.astype(jnp.float32), TARGETS),
        TypeError,
        "`log_scales` must be float64, as `means` is, got float32",
    ),
    "components of another number": (
        lambda: losses.gaussian_mixture_loss(
            LOGITS, LOGITS[..., :2, None], LOGITS[..., None], TARGETS[..., :1]
        ),
        ValueError,
        r"`means` must be \(T, ..., K, D\), \(7, 3, 5, 1\).*got \(7, 3, 2, 1\)",
    ),
    "components of another dtype": (
        lambda: losses.gaussian_mixture_loss(
            LOGITS, LOGITS[..., None], LOGITS[..., None].astype(jnp.float32), TARGETS[..., :1]
        ),
        TypeError,
        "`log_scales` must be float64, as `logits` is, got float32",
    ),
    "no component": (
        lambda: losses.gaussian_mixture_loss(LOGITS[..., :0], LOGITS, LOGITS, TARGETS),
        ValueError,
        "`logits` must be.*K > 0 components",
    ),
    "targets of a mixture without their axis": (
        lambda: losses.gaussian_mixture_loss(
            LOGITS, LOGITS[..., None], LOGITS[..., None], TARGETS[..., 0]
        ),
        ValueError,
        r"`targets` must be \(T, ..., D\).*got \(7, 3\).*`targets\[..., None\]`",
    ),
    "a mask of the values of a mixture": (
        lambda: losses.gaussian_mixture_loss(
            LOGITS, LOGITS[..., None], LOGITS[..., None], TARGETS[..., :1], INTEGERS[..., :1] > 0
        ),
        ValueError,
        r"`mask` must match.*of `targets` without their last axis, \(7, 3\), got \(7, 3, 1\)",
    ),
    "history of another batch": (
        lambda: losses.mean_absolute_scaled_error(PREDICTIONS, TARGETS, TARGETS[:, :2]),
        ValueError,
        r"`history` must be \(S, ...\).*`targets` \(7, 3, 5\) after time, got \(7, 2, 5\)",
    ),
    "history of another dtype": (
        lambda: losses.mean_absolute_scaled_error(
            PREDICTIONS, TARGETS, TARGETS.astype(jnp.float32)
        ),
        TypeError,
        "`history` must be float64, as `predictions` is, got float32",
    ),
    "history of one season": (
        lambda: losses.mean_absolute_scaled_error(PREDICTIONS, TARGETS, TARGETS, season=T),
        ValueError,
        "`history` must have more than `season` = 7 steps",
    ),
    "a season of half a step": (
        lambda: losses.mean_absolute_scaled_error(PREDICTIONS, TARGETS, TARGETS, season=0.5),
        TypeError,
        "`season` must be a positive integer, got 0.5",
    ),
    "history mask of another length": (
        lambda: losses.mean_absolute_scaled_error(
            PREDICTIONS, TARGETS, TARGETS, history_mask=MASK[1:]
        ),
        ValueError,
        "`history_mask` must match the leading axes.*of `history`",
    ),
    "forecast of one number": (
        lambda: losses.mean_absolute_scaled_error(
            PREDICTIONS[0, 0, 0], TARGETS[0, 0, 0], TARGETS[:, 0, 0]
        ),
        ValueError,
        r"`targets` must be \(T, ...\), got \(\)",
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
for _name, _loss, _logits in (
    ("ctc_loss", losses.ctc_loss, LOGITS),
    ("rnnt_loss", losses.rnnt_loss, JOINED),
):
    for _case, _arguments, _options, _exception, _message in (
        (
            "logits without a batch",
            (LOGITS[0, 0], SYMBOLS),
            {},
            ValueError,
            r"`logits` must be \(T",
        ),
        (
            "no class",
            (_logits[..., :0], SYMBOLS),
            {},
            ValueError,
            "`logits` must be.*K > 0 classes",
        ),
        ("floats", (_logits, TARGETS[:2, :, 0]), {}, TypeError, "`targets` must be integers"),
        ("a list", (_logits, SYMBOLS.tolist()), {}, TypeError, "`targets` must be an array"),
        (
            "another batch",
            (_logits, SYMBOLS[:, :2]),
            {},
            ValueError,
            r"`targets` must be \(U, ...\) with the batch axes \(3,\).*got \(2, 2\)",
        ),
        (
            "a class too many",
            (_logits, SYMBOLS + 1),
            {},
            ValueError,
            "`targets` must be from 0 to 4",
        ),
        (
            "the blank",
            (_logits, SYMBOLS - 1),
            {},
            ValueError,
            "`targets` must not hold the blank, 0",
        ),
        ("blank 4", (_logits, SYMBOLS), {"blank": 4}, ValueError, "must not hold the blank, 4"),
        ("blank 5", (_logits, SYMBOLS), {"blank": 5}, ValueError, "`blank` must be.*0 to 4, got 5"),
        ("blank -1", (_logits, SYMBOLS), {"blank": -1}, ValueError, "`blank` must be.*got -1"),
        ("blank 0.5", (_logits, SYMBOLS), {"blank": 0.5}, TypeError, "`blank` must be an integer"),
        (
            "mask",
            (_logits, SYMBOLS, MASK.T),
            {},
            ValueError,
            "`mask` must match.*steps of `logits`",
        ),
        ("target mask", (_logits, SYMBOLS, None, MASK), {}, ValueError, "`target_mask` must match"),
        ("flags", (_logits, SYMBOLS, None, SYMBOLS), {}, TypeError, "`target_mask` must be bool"),
    ):
        WRONG[f"{_name}: {_case}"] = (
            functools.partial(_loss, *_arguments, **_options),
            _exception,
            _message,
        )
WRONG["logits of another number of symbols"] = (
    lambda: losses.rnnt_loss(JOINED[:, 1:], SYMBOLS),
    ValueError,
    r"`logits` must be \(T, U \+ 1, ..., K\) with U = 2.*got \(7, 2, 3, 5\).*start symbol",
)
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
