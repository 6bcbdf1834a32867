"""Reports name the trouble that a network was given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import diagnostics
from jaxrnn.diagnostics._parts import recurrent_parts
from tests.laws.tables import I

T, B, H = 60, 2, 16
XS = jax.random.normal(jax.random.key(0), (T, B, I), jnp.float32)


def troubles(model, params, xs=XS, loss=jnp.mean, **options):
    report = diagnostics.diagnose(model, params, xs, loss, **options)
    assert str(report)
    return [finding.trouble for finding in report.findings]


def elman(scale, activation=jnp.tanh):
    cell = jaxrnn.elman(
        H, activation=activation, recurrent_kernel_init=jaxrnn.initializers.orthogonal(scale=scale)
    )
    return cell, cell.init(jax.random.key(1), XS[0])


def test_vanishing():
    assert troubles(*elman(0.5)) == ["vanishing"]


@pytest.mark.thorough
def test_exploding_and_healthy():
    assert troubles(*elman(3.0, jax.nn.relu))[:1] == ["exploding"]
    cell, params = elman(1.0)
    params = params._replace(kernel=0.1 * params.kernel)
    assert troubles(cell, params) == []


@pytest.mark.thorough
def test_saturated_and_dead():
    cell, params = elman(0.9)
    saturated = params._replace(kernel=100 * params.kernel)
    assert "saturated" in troubles(cell, saturated)
    dead = params._replace(bias=params.bias.at[:4].set(-50))
    assert "dead" in troubles(cell, dead)


@pytest.mark.thorough
def test_parts_of_a_stack():
    """The sick part is named, padding is not read, and what cannot stream is listed."""
    well = jaxrnn.rnn(jaxrnn.scornn(H))
    sick = jaxrnn.rnn(elman(0.3)[0], reverse=True)
    other = jaxrnn.residual(jaxrnn.bidirectional(jaxrnn.gru(H // 2)))
    model = jaxrnn.stack(jaxrnn.embed(7, 3), well, sick, other, jaxrnn.pool_last)
    symbols = jax.random.randint(jax.random.key(0), (T, B), 0, 7)
    mask = jaxrnn.length_mask(jnp.array([20, T]), T)
    params = model.init(jax.random.key(1), symbols)
    params = (jax.tree.map(lambda leaf: leaf / 4, params[0]), *params[1:])
    report = diagnostics.diagnose(model, params, symbols, jnp.sum, mask=mask)
    assert [(f.trouble, f.part) for f in report.findings] == [("vanishing", f"layer 2, {sick!r}")]
    assert [m.num_steps for m in report.measures] == [T, T]
    assert report.skipped == [f"layer 3, {other!r}"]
    _, y = model.apply(params, None, symbols, mask=mask)
    np.testing.assert_allclose(report.loss, y.sum(), rtol=1e-5)


def both_ways():
    """A bidirectional layer of a cell forward and a stack backward, between two others."""
    back = jaxrnn.stack(jaxrnn.dense(3), jaxrnn.rnn(jaxrnn.gru(H)))
    both = jaxrnn.bidirectional(jaxrnn.rnn(jaxrnn.lstm(H)), back, merge="sum")
    model = jaxrnn.stack(jaxrnn.rnn(jaxrnn.elman(5)), both, jaxrnn.dense(2))
    return model, model.init(jax.random.key(1), XS)


@pytest.mark.thorough
def test_a_part_says_what_the_model_makes_of_its_outputs():
    """Which is what the model makes of its inputs; with padding on both sides, in and out of it."""
    model, params = both_ways()
    mask = jaxrnn.length_mask(jnp.array([20, T]), T).at[:3, 1].set(False)
    parts, others = recurrent_parts(model, params, XS, mask)
    assert [part.name for part in parts] == [
        "layer 0, rnn(elman(5))",
        "layer 1, rnn(lstm(16)), forward",
        "layer 1, layer 1, rnn(gru(16)), backward",
    ]
    assert others == []
    expected = model.apply(params, None, XS, mask=mask)[1]
    for part in parts:
        inputs = part.before(XS)
        _, ys = jaxrnn.unroll(part.cell, part.params, None, inputs, mask=part.mask)
        np.testing.assert_allclose(part.after(XS, ys), expected, atol=1e-6)


@pytest.mark.thorough
def test_a_bidirectional_layer_is_its_directions():
    """Each measured as its cell alone; the backward one on the sequence reversed."""
    cell = jaxrnn.lstm(H)
    model = jaxrnn.bidirectional(cell)
    params = model.init(jax.random.key(1), XS)
    report = diagnostics.diagnose(model, params, XS, jnp.sum)
    for found, own, xs in zip(report.measures, params, (XS, jnp.flip(XS, 0)), strict=True):
        alone = diagnostics.diagnose(cell, own, xs, jnp.sum).measures[0]
        np.testing.assert_allclose(found.transport, alone.transport, rtol=1e-4)
        assert found.saturation == alone.saturation
        assert (found.dead, found.size) == (alone.dead, alone.size)
    names = [found.part for found in report.measures]
    assert names == ["rnn(lstm(16)), forward", "rnn(lstm(16)), backward"]
    np.testing.assert_allclose(report.loss, model.apply(params, None, XS)[1].sum(), rtol=1e-4)
    poisoned = XS.at[17, 1].set(jnp.nan)
    report = diagnostics.diagnose(model, params, poisoned, jnp.sum)
    assert report.findings[0].evidence == "`xs` is not finite at step 17"


@pytest.mark.thorough
def test_gradients_in_a_bidirectional_layer_are_those_of_the_model():
    """The gradient at the first step that a direction reads is that of its initial carry."""
    model = jaxrnn.bidirectional(jaxrnn.gru(H), merge="mul")
    params, xs = model.init(jax.random.key(1), XS[:9]), XS[:9]

    def loss(ys):
        return jnp.sum(ys * ys)

    def whole(carry):
        return loss(model.apply(params, carry, xs)[1])

    expected = jax.grad(whole)(model.init_carry(params, xs))
    parts, _ = recurrent_parts(model, params, xs, None)
    for part, wanted in zip(parts, expected, strict=True):

        def through(ys, part=part):
            return loss(part.after(xs, ys))

        found = diagnostics.carry_gradients(part.cell, part.params, None, part.before(xs), through)
        np.testing.assert_allclose(found.carries.h[0], wanted.h, atol=1e-6)


def test_not_finite():
    """The first step and leaf, before what follows from it."""
    cell = jaxrnn.lstm(H)
    params = cell.init(jax.random.key(1), XS[0])
    poisoned = XS.at[17, 1].set(jnp.nan)
    assert str(diagnostics.first_nonfinite(cell, params, None, poisoned)) == (
        "`xs` is not finite at step 17"
    )
    mask = jnp.ones((T, B), bool).at[17, 1].set(False)
    assert diagnostics.first_nonfinite(cell, params, None, poisoned, mask=mask) is None
    assert diagnostics.first_nonfinite(jaxrnn.rnn(cell), params, None, poisoned).step == 17
    broken = params._replace(kernel=params.kernel.at[0, 0].set(jnp.inf))
    found = diagnostics.first_nonfinite(cell, broken, None, XS)
    assert found == diagnostics.NonFinite(None, "params.kernel")


@pytest.mark.thorough
def test_a_loss_that_is_not_finite():
    cell = jaxrnn.scornn(H)
    params = cell.init(jax.random.key(1), XS[0])
    assert troubles(cell, params, XS.at[17, 1].set(jnp.nan)) == ["not finite"]
    assert troubles(cell, params, XS, lambda ys: jnp.log(jnp.sum(ys) * 0)) == ["not finite"]
    assert troubles(cell, params, XS, lambda ys: jnp.sum(jnp.sqrt(ys * 0))) == ["not finite"]


def growing():
    """c overflows in its 20th step, and h, made of it, is finite until then."""

    def init_carry(params, x):
        return jaxrnn.LSTMCarry(jnp.zeros_like(x), jnp.ones_like(x))

    def step(params, carry, x):
        c = 100 * carry.c
        carry = jaxrnn.LSTMCarry(jnp.tanh(x), c)
        return carry, carry.h

    return jaxrnn.from_step(lambda key, x: (), init_carry, step)


def test_an_overflow_of_the_carry():
    found = diagnostics.first_nonfinite(growing(), (), None, XS)
    assert found == diagnostics.NonFinite(19, "carry.c")
