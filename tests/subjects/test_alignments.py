"""CTC and transducer losses, against the sum over all alignments in NumPy, and torch."""

import functools
import itertools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import losses
from tests.subjects import alignments

T, U, K = 4, 3, 3
# name: the loss, its definition, the blank
LOSSES = {
    "ctc_loss": (losses.ctc_loss, alignments.ctc, 2),
    "rnnt_loss": (losses.rnnt_loss, alignments.rnnt, 1),
}
both = pytest.mark.parametrize("name", LOSSES)


def of(name):
    return functools.partial(LOSSES[name][0], blank=LOSSES[name][2])


def needed(name, mask, target_mask):
    """bool (T,), or (T, U + 1): the logits that a sequence reads."""
    return mask if name == "ctc_loss" else mask[:, None] & np.append(True, target_mask)[None]


@functools.cache
def cases(name):
    """Logits (N, T, ..., K), targets and masks: each target, number of steps, padding anywhere.

    A class may be excluded, and every seventh sequence has large logits.
    """
    rng, blank = np.random.default_rng(0), LOSSES[name][2]
    symbols = [k for k in range(K) if k != blank]
    targets = [y for u in range(U + 1) for y in itertools.product(symbols, repeat=u)]
    sequences = [(y, steps) for steps in range(T + 1) for y in targets]
    found = []
    for n, (y, steps) in enumerate(sequences):
        shape = (T, K) if name == "ctc_loss" else (T, U + 1, K)
        x = rng.normal(size=shape) * (1e5 if n % 7 == 0 else 1)
        is_one = np.arange(K) == rng.integers(K, size=shape[:-1])[..., None]
        x[is_one & (rng.random(size=(*shape[:-1], 1)) < 0.2)] = -np.inf
        mask, target_mask = np.zeros(T, bool), np.zeros(U, bool)
        mask[rng.choice(T, steps, replace=False)] = True
        target_mask[rng.choice(U, len(y), replace=False)] = True
        padded = np.full(U, -7)
        padded[target_mask] = y
        found.append((x, padded, mask, target_mask))
    return [np.stack(part) for part in zip(*found, strict=True)]


@functools.cache
def defined(name):
    """The values (N,) and gradients of the cases, by definition."""
    found = []
    for x, y, mask, target_mask in zip(*cases(name), strict=True):
        real = x[mask] if name == "ctc_loss" else x[mask][:, np.append(True, target_mask)]
        value, gradient = LOSSES[name][1](real, y[target_mask], LOSSES[name][2])
        whole = np.zeros_like(x)
        whole[needed(name, mask, target_mask)] = gradient.reshape(-1, K)
        found.append((value, whole))
    return [np.stack(part) for part in zip(*found, strict=True)]


@both
def test_it_is_the_sum_over_all_alignments(name):
    logits, *others = cases(name)
    given = logits.copy()
    for n, x in enumerate(given):
        if n % 2:  # as attention masks have it
            x[np.isneginf(x)] = -1e300
        x[~needed(name, *(other[n] for other in others[1:]))] = [np.nan, np.inf, -np.inf][n % 3]
    run = jax.jit(jax.vmap(jax.value_and_grad(of(name))))
    values, gradients = run(given, *others)
    want, slopes = defined(name)
    assert 20 < np.isfinite(want).sum() < len(want) - 15
    assert want[np.isfinite(want)].max() > 1e5  # where optax has its limit
    np.testing.assert_allclose(values, want, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(gradients, slopes, rtol=0, atol=1e-11)


@both
def test_the_mean_over_the_sequences(name):
    """That are there: infinite with one that cannot be, and NaN with a symbol that is none."""
    counts = np.isfinite(defined(name)[0]) & cases(name)[2].any(axis=1)
    finite = np.flatnonzero(counts)[::3][:5]
    never = np.flatnonzero(np.isinf(defined(name)[0]))[-1]
    run = jax.jit(jax.value_and_grad(of(name)))

    def batch(last, symbol=None):
        rows = [*finite, last]
        parts = [np.stack([x[n] for n in rows]).reshape(2, 3, *x.shape[1:]) for x in cases(name)]
        x, y, mask, target_mask = parts
        mask[1, 2] &= last >= 0
        target_mask[1, 2] &= last >= 0
        if symbol is not None:
            y[1, 2], target_mask[1, 2] = symbol, True
        axes = (2, 3, 0, 1, 4) if name == "rnnt_loss" else (2, 0, 1, 3)
        given = x.transpose(axes), *(a.transpose(2, 0, 1) for a in (y, mask, target_mask))
        value, gradient = run(*given)
        return value, gradient.transpose(np.argsort(axes)).reshape(6, *x.shape[2:])

    want = [part[finite] for part in defined(name)]
    value, gradient = batch(-1)  # a row that only fills the batch
    np.testing.assert_allclose(value, want[0].mean(), rtol=1e-12)
    np.testing.assert_allclose(gradient[:5] * 5, want[1], atol=1e-11)
    assert not gradient[5].any()
    value, gradient = batch(never)
    assert value == np.inf
    np.testing.assert_allclose(gradient[:5] * 6, want[1], atol=1e-11)
    assert not gradient[5].any()
    for symbol in (-1, K, LOSSES[name][2]):
        value, gradient = batch(finite[0], symbol)
        assert np.isnan(value)
        assert np.isnan(gradient[5]).any()
        np.testing.assert_allclose(gradient[:5] * 6, want[1], atol=1e-11)


@both
@pytest.mark.thorough
def test_forward_mode_and_second_order(name):
    n = np.flatnonzero(np.isfinite(defined(name)[0]) & (cases(name)[3].sum(axis=1) == 2))[-1]
    x, *others = (part[n] for part in cases(name))
    x = np.where(np.isneginf(x), 0.0, x)
    y, mask, target_mask = others
    along = np.random.default_rng(1).normal(size=x.shape)

    def definition(size):
        real = (x + size * along)[mask]
        real = real if name == "ctc_loss" else real[:, np.append(True, target_mask)]
        value, gradient = LOSSES[name][1](real, y[target_mask], LOSSES[name][2])
        return value, gradient.reshape(-1)

    slope = jax.value_and_grad(lambda x: of(name)(x, *others))
    got = jax.jit(lambda x: jax.jvp(slope, (x,), (along,)))(x)[1]
    want = [(a - b) / 2e-5 for a, b in zip(definition(1e-5), definition(-1e-5), strict=True)]
    np.testing.assert_allclose(got[0], want[0], rtol=1e-8)
    np.testing.assert_allclose(got[1][needed(name, mask, target_mask)].ravel(), want[1], atol=1e-8)


def test_ctc_is_as_in_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    steps, places, rows, classes = 12, 5, 200, 6
    logits = rng.normal(size=(steps, rows, classes)) * 2
    targets = rng.integers(1, classes, size=(places, rows))
    lengths, counts = rng.integers(1, steps + 1, rows), rng.integers(0, places + 1, rows)
    theirs = torch.tensor(logits, requires_grad=True)
    want = torch.nn.functional.ctc_loss(
        theirs.log_softmax(-1),
        torch.tensor(targets.T),
        torch.tensor(lengths),
        torch.tensor(counts),
        reduction="none",
        zero_infinity=False,
    )
    is_possible = np.isfinite(want.detach().numpy())
    want[is_possible].sum().backward()
    mask = np.arange(steps)[:, None] < lengths
    target_mask = np.arange(places)[:, None] < counts
    run = jax.vmap(jax.value_and_grad(losses.ctc_loss), in_axes=1, out_axes=(0, 1))
    values, gradients = jax.jit(run)(logits, targets, mask, target_mask)
    assert 5 < (~is_possible).sum() < 100
    np.testing.assert_allclose(values, want.detach().numpy(), rtol=1e-11, atol=1e-11)
    slopes = np.where(is_possible[:, None], theirs.grad.numpy(), 0)  # NaN in torch
    np.testing.assert_allclose(gradients, slopes, rtol=0, atol=1e-11)


@pytest.mark.parametrize("masked", [pytest.param(False, marks=pytest.mark.thorough), True])
def test_a_transducer_needs_no_more_memory_than_its_logits_and_their_gradient(masked):
    steps, places, rows, classes = 40, 20, 2, 256
    logits = jax.ShapeDtypeStruct((steps, places + 1, rows, classes), jnp.float32)
    targets = jax.ShapeDtypeStruct((places, rows), jnp.int32)
    masks = [jax.ShapeDtypeStruct((n, rows), bool) for n in (steps, places)] if masked else []
    run = jax.jit(jax.value_and_grad(losses.rnnt_loss))
    memory = run.lower(logits, targets, *masks).compile().memory_analysis()
    size = 4 * logits.size
    assert memory.output_size_in_bytes < 1.01 * size
    scores = 8 * (steps + places) * (places + 1) * rows  # of the blank and the symbol, in float32
    assert memory.temp_size_in_bytes < 8 * scores < size / 2


def test_symbols_of_every_width():
    """Class 299 is not 43, though it would be in uint8."""
    logits = jnp.zeros((1, 300)).at[0, 43].set(3.0)
    for symbol, dtype in ((43, np.uint8), (299, np.int16), (299, np.uint64)):
        want = np.log(299 + np.exp(3.0)) - (3 if symbol == 43 else 0)
        np.testing.assert_allclose(losses.ctc_loss(logits, np.array([symbol], dtype)), want)


def test_without_optax_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optax", None)
    with pytest.raises(ImportError, match=r'pip install "jaxrnn\[examples\]"'):
        losses.ctc_loss(jnp.zeros((2, 3)), jnp.array([1]))
