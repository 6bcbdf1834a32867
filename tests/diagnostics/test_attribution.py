"""Attributions: gradients, and sums that come out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import diagnostics
from tests.laws.tables import H, I, assert_close, noisy

T, B = 6, 2


def classifier(cell, xs):
    """A score of the last output of a cell, one number for each sequence."""
    params = noisy(cell.init(jax.random.key(1), xs[0]), jax.random.key(2))

    def score(xs):
        _, ys = jaxrnn.unroll(cell, params, None, xs, implementation="scan")
        return ys[-1].sum(axis=-1)

    return params, score


XS = 2 * jax.random.normal(jax.random.key(0), (T, B, I), jnp.float64)


def test_integrated_gradients_are_complete():
    _, score = classifier(jaxrnn.lstm(H), XS)
    found = jax.jit(lambda xs: diagnostics.integrated_gradients(score, xs))(XS)
    change = score(XS) - score(jnp.zeros_like(XS))
    sums = found.attributions.sum(axis=(0, 2))
    np.testing.assert_allclose(sums, change, atol=1e-6)
    np.testing.assert_allclose(found.gap, change - sums, atol=1e-12)


def test_a_linear_score_is_attributed_exactly():
    weights = jax.random.normal(jax.random.key(3), (T, B, I))

    def score(xs):
        return (weights * xs).sum(axis=(0, 2))

    assert_close(diagnostics.saliency(score, XS), weights, 1e-12)
    base = jnp.ones_like(XS)
    found = diagnostics.integrated_gradients(score, XS, baseline=base, num_points=2)
    assert_close(found.attributions, weights * (XS - base), 1e-12)
    covered = diagnostics.occlusion(score, XS, baseline=base)
    assert_close(covered, (weights * (XS - base)).sum(-1), 1e-12)
    two = diagnostics.occlusion(score, XS, window=2)
    steps = (weights * XS).sum(-1)
    assert_close(two, steps[:-1] + steps[1:], 1e-12)


def test_occlusion_is_the_score_with_a_part_of_the_inputs_replaced():
    """Place by place, by hand: stretches of steps, and of features within them."""
    _, score = classifier(jaxrnn.gru(H), XS)
    base = 0.5 * jnp.ones_like(XS)
    whole, window, features = score(XS), 2, 3
    rows = jax.jit(lambda xs: diagnostics.occlusion(score, xs, baseline=base, window=window))(XS)
    options = {"baseline": base, "window": window, "num_features": features}
    found = jax.jit(lambda xs: diagnostics.feature_occlusion(score, xs, **options))(XS)
    assert rows.shape == (T - window + 1, B)
    assert found.shape == (T - window + 1, I - features + 1, B)
    by_hand, scored = np.array(XS), jax.jit(score)
    for t in range(T - window + 1):
        covered = by_hand.copy()
        covered[t : t + window] = 0.5
        assert_close(rows[t], whole - scored(covered), 1e-12)
        for i in range(I - features + 1):
            covered = by_hand.copy()
            covered[t : t + window, :, i : i + features] = 0.5
            assert_close(found[t, i], whole - scored(covered), 1e-12)


def test_through_an_embedding():
    """Symbols have no gradient: attributions begin at their vectors."""
    layers = jaxrnn.embed(9, I, dtype=jnp.float64), jaxrnn.rnn(jaxrnn.elman(H)), jaxrnn.pool_last
    model = jaxrnn.stack(*layers)
    symbols = jax.random.randint(jax.random.key(0), (T, B), 0, 9)
    params = model.init(jax.random.key(1), symbols)
    rest = jaxrnn.stack(*layers[1:])

    def score(vectors):
        return rest.apply(params[1:], None, vectors)[1][..., 0]

    def whole(symbols):
        return model.apply(params, None, symbols)[1][..., 0]

    vectors = params[0].embedding[symbols]
    found = jax.jit(lambda vectors: diagnostics.integrated_gradients(score, vectors))(vectors)
    change = score(vectors) - score(jnp.zeros_like(vectors))
    np.testing.assert_allclose(found.attributions.sum(axis=(0, 2)), change, atol=1e-6)
    assert_close(score(vectors), whole(symbols), 1e-12)
    run = jax.jit(lambda symbols: diagnostics.occlusion(whole, symbols))
    assert run(symbols).shape == (T, B)


def test_contextual_decomposition_adds_up():
    """To the outputs of the cell, and it is all of them if the phrase is everything."""
    cell = jaxrnn.lstm(H)
    params, _ = classifier(cell, XS)
    phrase = jnp.arange(T) == 2
    _, ys = jaxrnn.unroll(cell, params, None, XS)
    run = jax.jit(diagnostics.contextual_decomposition)
    found = run(params, XS, phrase)
    assert_close(found.phrase + found.rest, ys, 1e-12)
    assert (found.phrase[:2] == 0).all()
    assert (jnp.abs(found.phrase[2:]) > 0).all()
    assert_close(run(params, XS, jnp.ones(T, bool)).rest, jnp.zeros_like(ys), 1e-12)


def reference(params, xs, first, last):
    """The published equations, one gate at a time (Murdoch et al., 2018)."""
    w, v, b = (np.split(np.asarray(a), 4, axis=-1) for a in params)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def three(f, p, q, bias):
        share_p = 0.5 * (f(p + bias) - f(bias) + f(p + q + bias) - f(q + bias))
        return share_p, f(p + q + bias) - f(bias) - share_p, f(bias)

    rel_h = irr_h = rel = irr = np.zeros(v[0].shape[0])
    for t, x in enumerate(xs):
        inside = first <= t <= last
        p = [rel_h @ v[k] + inside * (x @ w[k]) for k in range(4)]
        q = [irr_h @ v[k] + (not inside) * (x @ w[k]) for k in range(4)]
        ip, iq, ib = three(sigmoid, p[0], q[0], b[0])
        fp, fq, fb = three(sigmoid, p[1], q[1], b[1])
        gp, gq, gb = three(np.tanh, p[2], q[2], b[2])
        new_rel = ip * (gp + gb) + ib * gp + inside * ib * gb + (fp + fb) * rel
        new_irr = iq * (gp + gq + gb) + (ip + ib) * gq + (not inside) * ib * gb
        irr = new_irr + (fp + fq + fb) * irr + fq * rel
        rel = new_rel
        o = sigmoid(p[3] + q[3] + b[3])
        rel_h = o * 0.5 * (np.tanh(rel) + np.tanh(rel + irr) - np.tanh(irr))
        irr_h = o * 0.5 * (np.tanh(irr) + np.tanh(rel + irr) - np.tanh(rel))
    return rel_h, irr_h


def test_contextual_decomposition_is_the_published_one():
    params, _ = classifier(jaxrnn.lstm(H), XS)
    phrase = (jnp.arange(T) >= 1) & (jnp.arange(T) <= 3)
    found = diagnostics.contextual_decomposition(params, XS[:, 0], phrase)
    rel, irr = reference(params, np.asarray(XS[:, 0]), 1, 3)
    np.testing.assert_allclose(found.phrase[-1], rel, atol=1e-12)
    np.testing.assert_allclose(found.rest[-1], irr, atol=1e-12)


@pytest.mark.thorough
def test_contextual_decomposition_without_a_bias_in_float32():
    cell = jaxrnn.lstm(H, use_bias=False)
    xs = XS.astype(jnp.float32)
    params = cell.init(jax.random.key(1), xs[0])
    phrase = jnp.zeros((T, B), bool).at[1].set(True)
    found = diagnostics.contextual_decomposition(params, xs, phrase)
    assert_close(found.phrase + found.rest, jaxrnn.unroll(cell, params, None, xs)[1], 1e-5)
