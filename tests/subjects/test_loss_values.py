"""Losses at the edges of numbers: infinities, narrow integers and floats, large counts."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Literal

from jaxrnn import losses
from jaxrnn.losses._mean import count_real
from tests.marks import later
from tests.subjects.test_losses import (
    LABELS,
    LOGITS,
    MASK,
    PREDICTIONS,
    QUANTILES,
    SYMBOLS,
    TARGETS,
    symbols_of,
)

INF = np.inf
LOWEST = float(np.finfo(np.float32).min)
SCORES = {
    "cross_entropy": losses.cross_entropy,
    "smoothing": functools.partial(losses.cross_entropy, smoothing=0.1),
    "perplexity": losses.perplexity,
    "accuracy": losses.accuracy,
}
PAIRS = {
    "mean_squared_error": losses.mean_squared_error,
    "mean_absolute_error": losses.mean_absolute_error,
    "huber": losses.huber,
    "quantile_loss": functools.partial(losses.quantile_loss, quantile=0.9),
    "quantiles": lambda x, y, mask=None: losses.quantile_loss(
        x, y[..., 0], mask, quantile=QUANTILES
    ),
    "binary_cross_entropy": losses.binary_cross_entropy,
    "binary_accuracy": losses.binary_accuracy,
    "f1": losses.f1,
    "gaussian_loss": lambda x, y, mask=None: losses.gaussian_loss(x, x / 2, y, mask),
    "gaussian_mixture_loss": lambda x, y, mask=None: losses.gaussian_mixture_loss(
        x, x[..., None], x[..., None], y[..., :1], mask
    ),
    "mean_absolute_scaled_error": lambda x, y, mask=None: losses.mean_absolute_scaled_error(
        x, y, x, mask, mask
    ),
}
ALIGNED = {
    "ctc_loss": lambda x, mask=None: losses.ctc_loss(x, SYMBOLS, mask, symbols_of(mask)),
    "rnnt_loss": lambda x, mask=None: losses.rnnt_loss(
        jnp.stack([x, -x, x / 2], axis=1), SYMBOLS, mask, symbols_of(mask)
    ),
}
PENALTIES = {
    "masked_mean": losses.masked_mean,
    "activation_penalty": losses.activation_penalty,
    "temporal_activation_penalty": losses.temporal_activation_penalty,
}

CROSS, BINARY = losses.cross_entropy, losses.binary_cross_entropy
ROW = [2.0, 1.0, -INF]


def unit_normal(x, y):
    return losses.gaussian_loss(x, jnp.zeros_like(x), y)


def spike(x, y):
    return losses.gaussian_loss(x, jnp.full_like(x, -INF), y)


# A loss, its two arguments, its value and its gradient.
EDGES = {
    "an excluded class": (CROSS, ROW, 0, 0.313262, [-0.268941, 0.268941, 0]),
    "the lowest float": (CROSS, [2.0, 1.0, LOWEST], 0, 0.313262, [-0.268941, 0.268941, 0]),
    "two of the lowest": (CROSS, [2.0, 2.0, *2 * [LOWEST]], 0, 0.693147, [-0.5, 0.5, 0, 0]),
    "the excluded class": (CROSS, ROW, 2, INF, [0.731059, 0.268941, -1]),
    "perplexity": (losses.perplexity, ROW, 0, 1.367879, [-0.367879, 0.367879, 0]),
    "accuracy": (losses.accuracy, ROW, 0, 1, [0, 0, 0]),
    "certain and right": (BINARY, [INF, -INF], [1.0, 0.0], 0, [0, 0]),
    "certain and wrong": (BINARY, [INF, -INF], [0.0, 1.0], INF, [0.5, -0.5]),
    "certain and unsure": (BINARY, [INF], [0.25], INF, [0.75]),
    "absolute": (losses.mean_absolute_error, [INF], [0.0], INF, [1]),
    "squared": (losses.mean_squared_error, [INF, 1.0], [0.0, 0.0], INF, [INF, 1]),
    "huber": (losses.huber, [-INF, 0.5], [0.0, 0.0], INF, [-0.5, 0.25]),
    "quantile": (PAIRS["quantile_loss"], [INF, -INF], [0.0, 0.0], INF, [0.05, -0.45]),
    "two quantiles": (
        functools.partial(losses.quantile_loss, quantile=(0.25, 0.5)),
        [[INF, 3.0], [1.0, 1.0]],
        [1.0, 3.0],
        INF,
        [[0.1875, 0.125], [-0.0625, -0.125]],
    ),
    "right or wrong": (losses.binary_accuracy, [INF, -INF, 0.0], [1.0, 1.0, 0.0], 2 / 3, [0, 0, 0]),
    "no positive": (losses.f1, [-1.0, -INF], [0.0, 0.0], 0, [0, 0]),
    "no hit": (losses.f1, [1.0, -INF], [0.0, 1.0], 0, [0, 0]),
    "no positive label": (losses.f1, [1.0, -1.0], [0.0, 0.0], 0, [0, 0]),
    "far from normal": (unit_normal, [INF, 1.0], [0.0, 1.0], INF, [INF, 0]),
    "certain and exact": (spike, [2.0], [2.0], -INF, [0]),
    "a scale of almost zero": (
        lambda s, y: losses.gaussian_loss(y, s, y),
        [-100.0, 0.0],
        [1.0, 2.0],
        -49.081062,
        [0.5, 0.5],
    ),
    "a component of almost no width": (
        lambda s, y: losses.gaussian_mixture_loss(0 * y[..., 0], y, s, y[:, 0]),
        [[[0.0], [-100.0]]],
        [[[1.0], [5.0]]],
        1.612086,
        [[[1], [0]]],
    ),
    "an excluded component that is not a number": (
        lambda x, y: losses.gaussian_mixture_loss(x, y, 0 * y, y[:, 0]),
        [[2.0, 2.0, -INF]],
        [[[1.0], [1.0], [math.nan]]],
        0.918939,
        [[0, 0, 0]],
    ),
    "an excluded component": (
        lambda x, y: losses.gaussian_mixture_loss(x, y, 0 * y, y[:, 0]),
        [[2.0, 2.0, -INF]],
        [[[1.0], [1.0], [1.0]]],
        0.918939,
        [[0, 0, 0]],
    ),
    "a series that never changes": (
        lambda x, y: losses.mean_absolute_scaled_error(x, y, jnp.ones_like(y)),
        [[1.0, 5.0], [2.0, 3.0]],
        [[1.0, 5.0], [2.0, 4.0]],
        INF,
        [[0, 0], [0, 0]],
    ),
    "exact, and never changed": (
        lambda x, y: losses.mean_absolute_scaled_error(x, y, jnp.float32([[1, 1], [1, 3]])),
        [[1.0, 5.0], [2.0, 3.0]],
        [[1.0, 4.0], [2.0, 7.0]],
        0.625,
        [[0, 0.125], [0, -0.125]],
    ),
}


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("compiled", [pytest.param(False, marks=pytest.mark.thorough), True])
def test_infinity_times_zero_is_nowhere(name, compiled):
    loss, x, y, value, gradient = EDGES[name]
    y = jnp.array(y, jnp.float32 if isinstance(y, list) else jnp.int32)
    run = jax.value_and_grad(lambda x: loss(x, y))
    got = (jax.jit(run) if compiled else run)(jnp.array(x, jnp.float32))
    np.testing.assert_allclose(got[0], value, rtol=1e-5)
    np.testing.assert_allclose(got[1], gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("logit", [-INF, LOWEST])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_excluded_classes_are_as_in_torch(logit, smoothing):
    torch = pytest.importorskip("torch")
    row = [[2.0, 1.0, logit, logit]]
    theirs = torch.tensor(row, requires_grad=True)
    want = torch.nn.functional.cross_entropy(theirs, torch.tensor([0]), label_smoothing=smoothing)
    want.backward()
    loss = functools.partial(losses.cross_entropy, labels=jnp.array([0]))
    for share in (smoothing, jnp.float32(smoothing)):
        run = jax.jit(jax.value_and_grad(lambda x, s: loss(x, smoothing=s)))
        value, gradient = run(jnp.array(row, jnp.float32), share)
        np.testing.assert_allclose(value, want.item(), rtol=1e-6)
        np.testing.assert_allclose(gradient, theirs.grad, rtol=1e-5, atol=1e-7)


def test_the_gradient_of_binary_labels():
    """Of a teacher, for example: also where a label is 0 or 1."""
    x = jnp.array([1.5, -2.0, 0.3])
    gradient = jax.grad(lambda y: 3 * losses.binary_cross_entropy(x, y))(jnp.array([0.0, 1.0, 0.5]))
    np.testing.assert_allclose(gradient, -x, rtol=1e-12)


@pytest.mark.parametrize(
    "dtype",
    [
        jnp.bfloat16,
        later(jnp.float16),
        later(jnp.float32),
    ],
)
@pytest.mark.parametrize("name", [*SCORES, *PAIRS, *PENALTIES, *ALIGNED])
def test_narrow_floats_are_summed_in_float32(name, dtype):
    """The result has the dtype of the predictions, and is right to its last digits."""
    unit = jax.nn.sigmoid(TARGETS)
    alone = {**PENALTIES, **ALIGNED}
    x, others = (PREDICTIONS, ()) if name in alone else (LOGITS, (LABELS,))
    others = (unit,) if name in PAIRS else others
    loss = jax.jit({**SCORES, **PAIRS, **alone}[name])
    narrow = [a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a for a in (x, *others)]
    exact = [a.astype(jnp.float64) if a.dtype == dtype else a for a in narrow]
    got = loss(*narrow, mask=MASK)
    assert got.dtype == dtype
    np.testing.assert_allclose(
        got.astype(jnp.float64), loss(*exact, mask=MASK), rtol=float(jnp.finfo(dtype).eps) + 1e-6
    )


def test_float16_overflows_nowhere():
    ones = jnp.ones((100, 1000), jnp.float16)
    assert losses.activation_penalty(ones) == 1
    assert losses.masked_mean(ones) == 1
    far = jnp.zeros(400, jnp.float16).at[0].set(400)  # its square is beyond float16
    for ys in (far, far[:, None]):
        assert losses.activation_penalty(ys) == 400
    assert losses.temporal_activation_penalty(far[:, None]).astype(int) == 401
    assert losses.mean_squared_error(far, jnp.zeros_like(far)) == 400
    classes = jnp.zeros((1, 70_000), jnp.float16)  # and so is their number
    for label in (0, 69_999):
        value = losses.cross_entropy(classes, jnp.array([label]))
        np.testing.assert_allclose(value, math.log(70_000), rtol=1e-3)
    half = classes.at[:, 60_000:].set(-INF)
    np.testing.assert_allclose(losses.perplexity(half, jnp.array([1])), 60_000, rtol=1e-3)


INTEGERS = [jnp.int4, jnp.uint4, jnp.int8, jnp.uint8, jnp.int16, jnp.uint32, jnp.int64, jnp.uint64]


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize(
    ("name", "num_classes"),
    [*((name, 300) for name in SCORES), ("cross_entropy", 7), ("cross_entropy", 40_000)],
)
def test_labels_of_every_integer_dtype(name, num_classes, dtype):
    """Class 300 is not 44, though it would be in uint8."""
    largest = min(num_classes - 1, int(jnp.iinfo(dtype).max))
    labels = np.array([0, largest, largest - 1])
    logits = np.random.default_rng(0).normal(size=(3, num_classes))
    logits[1, min(largest + 256, num_classes - 1)] = 9.0
    want = SCORES[name](jnp.asarray(logits), jnp.asarray(labels))
    narrow = labels.astype(dtype)
    for array in (np.asarray, jnp.asarray):
        np.testing.assert_array_equal(SCORES[name](logits, array(narrow)), want)
    compiled = jax.jit(SCORES[name])(logits, jnp.asarray(narrow))
    np.testing.assert_allclose(compiled, want, rtol=1e-12)


def sums(jaxpr):
    """The integer sums of a program, as (number of terms, dtype); no integer is multiplied."""
    for equation in jaxpr.eqns:
        inner = [p for p in equation.params.values() if hasattr(p, "jaxpr")]
        for closed in inner:
            yield from sums(closed.jaxpr)
        out, x = equation.outvars[0].aval, equation.invars[0]
        if not jnp.issubdtype(out.dtype, jnp.integer) or isinstance(x, Literal):
            continue
        assert equation.primitive.name not in ("mul", "dot_general")
        if equation.primitive.name in ("reduce_sum", "cumsum"):
            yield x.aval.size // max(out.size, 1), out.dtype


@pytest.mark.parametrize("loss", [losses.masked_mean, losses.activation_penalty])
@pytest.mark.parametrize("mask_shape", [(), (2**20,), (2**20, 2**14), (2**20, 2**14, 2)])
def test_no_integer_counts_beyond_its_dtype(loss, mask_shape):
    """2**35 values, of which only the shapes exist here."""
    values = jax.ShapeDtypeStruct((2**20, 2**14, 2), jnp.float32)
    mask = jax.ShapeDtypeStruct(mask_shape, bool) if mask_shape else None
    program = jax.make_jaxpr(loss)(values, mask)
    found = list(sums(program.jaxpr))
    assert bool(found) == bool(mask_shape)
    for terms, dtype in found:
        assert terms <= jnp.iinfo(dtype).max


def test_a_count_beyond_int32():
    mask = jnp.ones(2**16, bool)
    assert count_real(mask, (2**16, 2**16), jnp.float32) == 2.0**32
    assert count_real(mask[:, None], (2**16, 1, 2**18), jnp.float32) == 2.0**34


@pytest.mark.parametrize("name", [*SCORES, *PAIRS, *PENALTIES, *ALIGNED])
def test_no_rank_is_promoted(name):
    """Programs may have JAX refuse it: `jax_numpy_rank_promotion`."""
    loss = {**SCORES, **PAIRS, **PENALTIES, **ALIGNED}[name]
    others = (jax.nn.sigmoid(TARGETS),) if name in PAIRS else (LABELS,) if name in SCORES else ()
    with jax.numpy_rank_promotion("raise"):
        for mask in (None, MASK, MASK[:, 0]):
            assert jax.eval_shape(loss, LOGITS, *others, mask=mask).shape == ()
