"""What is measured of states and gates, where the answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import diagnostics
from tests.laws.tables import H, I

T, B = 30, 3


def test_gates_of_an_lstm():
    """As a plain computation of the gates has it."""
    cell = jaxrnn.lstm(H)
    xs = 4 * jax.random.normal(jax.random.key(0), (T, I))
    params = cell.init(jax.random.key(1), xs[0])
    mask = jnp.arange(T) < 20
    found = jax.jit(lambda xs: diagnostics.gate_saturation(cell, params, None, xs, mask=mask))(xs)
    assert set(found) == {"sigmoid[0]", "sigmoid[1]", "tanh[2]", "sigmoid[3]", "tanh"}
    _, (ys, carries) = jaxrnn.unroll(jaxrnn.emit_carry(cell), params, None, xs)
    before = jnp.concatenate([jnp.zeros((1, H)), ys[:-1]])
    gates = xs @ params.kernel + params.bias + before @ params.recurrent_kernel
    i, f, g, o = map(np.asarray, jnp.split(gates, 4, axis=-1))
    for name, values in {"sigmoid[0]": i, "sigmoid[1]": f, "sigmoid[3]": o}.items():
        edge = np.log(9)  # the sigmoid is 0.9
        np.testing.assert_allclose(found[name].high, (values > edge)[:20].mean(0), atol=1e-6)
        np.testing.assert_allclose(found[name].low, (values < -edge)[:20].mean(0), atol=1e-6)
    for name, values in {"tanh[2]": np.tanh(g), "tanh": np.tanh(carries.c)}.items():
        np.testing.assert_allclose(found[name].high, (values > 0.8)[:20].mean(0), atol=1e-6)
        np.testing.assert_allclose(found[name].low, (values < -0.8)[:20].mean(0), atol=1e-6)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("cell", "names"),
    [
        (jaxrnn.elman(H), ["tanh"]),
        (jaxrnn.gru(H), ["sigmoid[0]", "sigmoid[1]", "tanh[2]"]),
        (jaxrnn.elman(H, activation=jax.nn.relu), []),
        (jaxrnn.peephole_lstm(H), ["sigmoid[0]", "sigmoid[1]", "tanh[2]", "tanh", "sigmoid"]),
    ],
    ids=repr,
)
def test_names_of_gates(cell, names):
    xs = jnp.zeros((2, I))
    params = cell.init(jax.random.key(1), xs[0])
    found = diagnostics.gate_saturation(cell, params, None, xs)
    assert sorted(found) == sorted(names)


def test_dead_units():
    states = jax.random.normal(jax.random.key(0), (T, B, 4)).at[..., 2].set(0.5)
    mask = jaxrnn.length_mask(jnp.array([T, 4, 0]), T)
    states = states.at[5, 1, 2].set(9.0).at[5, 2].set(jnp.nan)
    found = jax.jit(diagnostics.dead_units)(states, mask=mask)
    np.testing.assert_array_equal(found, [False, False, True, False])


def test_effective_rank():
    """Directions that vary alike count as one each; masked steps do not count."""
    corners = jnp.stack(jnp.meshgrid(*[jnp.array([-1.0, 1.0])] * 3), axis=-1).reshape(8, 3)
    states = jnp.concatenate([corners, jnp.zeros((8, 2))], axis=-1) + 7
    rank = jax.jit(diagnostics.effective_rank)
    np.testing.assert_allclose(rank(states), 3, rtol=1e-12)
    padded = jnp.concatenate([states, jnp.full((2, 5), jnp.nan)])
    mask = jnp.arange(10) < 8
    np.testing.assert_allclose(rank(padded, mask=mask), 3, rtol=1e-12)
    assert rank(jnp.ones((8, 5))) == 0


def test_principal_components():
    states = jax.random.normal(jax.random.key(0), (T, B, 5)) * jnp.array([3, 2, 1, 0.5, 0.1]) + 2
    found = jax.jit(diagnostics.principal_components)(states)
    rows = np.asarray(states).reshape(-1, 5)
    values = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[::-1]
    np.testing.assert_allclose(found.variances, values, rtol=1e-10)
    np.testing.assert_allclose(found.shares.sum(), 1, rtol=1e-12)
    back = found.projections @ found.components + found.mean
    np.testing.assert_allclose(back, states, atol=1e-12)
    two = diagnostics.principal_components(states, num=2)
    assert two.projections.shape == (T, B, 2)
    assert two.components.shape == (2, 5)


def test_linear_probe():
    states = jax.random.normal(jax.random.key(0), (200, B, 6))
    mask = jaxrnn.length_mask(jnp.array([200, 190, 170]), 200)
    states = jnp.where(mask[..., None], states, jnp.nan)
    values = states[..., :2] * 2 + 1
    noise = jax.random.normal(jax.random.key(1), values.shape)
    probe = jax.jit(diagnostics.linear_probe, static_argnames="num_classes")
    known = probe(states, values, mask=mask)
    np.testing.assert_allclose(known.score, 1, atol=1e-4)
    assert probe(states, noise, mask=mask).score < 0.05
    labels = (states[..., 0] > 0.5).astype(jnp.int32)
    found = probe(states, labels, num_classes=2, mask=mask)
    assert found.score > 0.85
    np.testing.assert_allclose(found.chance, 0.69, atol=0.1)


def test_memory_capacity_of_a_delay_line():
    """States that are the last 8 inputs hold exactly these."""
    signal = jax.random.uniform(jax.random.key(0), (1000,), minval=-1.0)
    states = jnp.stack([jnp.roll(signal, k) for k in range(1, 9)], axis=-1)
    run = jax.jit(lambda *given: diagnostics.memory_capacity(*given, max_delay=20, warmup=20))
    found = run(states, signal)
    np.testing.assert_allclose(found.by_delay[:8], 1, atol=1e-6)
    assert found.by_delay.shape == (20,)
    np.testing.assert_allclose(found.total, 8, rtol=0.02)


def delayed_sum(num_steps):
    """A layer whose last output depends on exactly this many steps."""
    layer = jaxrnn.causal_conv(1, num_steps, use_bias=False)
    xs = jnp.ones((20, 2, 1))
    params = layer.init(jax.random.key(0), xs)
    return layer, jax.tree.map(jnp.ones_like, params), xs


def test_context_length():
    layer, params, xs = delayed_sum(5)
    found = diagnostics.context_length(layer, params, xs, lengths=[1, 4, 5, 9])
    np.testing.assert_allclose(found.changes, [0.8, 0.2, 0, 0], atol=1e-12)
    assert found.length == 5


@pytest.mark.thorough
def test_context_lengths_by_default():
    layer, params, xs = delayed_sum(5)
    powers = diagnostics.context_length(layer, params, xs)
    assert powers.lengths.tolist() == [1, 2, 4, 8, 16]
    assert powers.length == 8
    few = diagnostics.context_length(layer, params, xs, lengths=[2])
    assert few.length == 20
