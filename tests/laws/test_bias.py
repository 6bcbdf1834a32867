"""A cell without biases computes what the same cell does whose biases are zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import floats

T, B, I, H = 5, 3, 4, 6
CELLS = {
    "lstm": jaxrnn.lstm,
    "gru": jaxrnn.gru,
    "gru before": lambda size, **options: jaxrnn.gru(size, reset_after=False, **options),
    "elman": jaxrnn.elman,
    "projected_lstm": lambda size, **options: jaxrnn.projected_lstm(size, 2, **options),
    "layer_norm_lstm": jaxrnn.layer_norm_lstm,
    "layer_norm_gru": jaxrnn.layer_norm_gru,
    "peephole_lstm": jaxrnn.peephole_lstm,
    "coupled_lstm": jaxrnn.coupled_lstm,
    "mgu": jaxrnn.mgu,
    "ugrnn": jaxrnn.ugrnn,
    "janet": jaxrnn.janet,
    "li_gru": jaxrnn.li_gru,
    "minimal_rnn": jaxrnn.minimal_rnn,
    "indrnn": jaxrnn.indrnn,
    "rhn": lambda size, **options: jaxrnn.rhn(size, 1, **options),
    "atr": jaxrnn.atr,
    "ran": jaxrnn.ran,
    "star": jaxrnn.star,
    "brc": jaxrnn.brc,
    "nbrc": jaxrnn.nbrc,
    "fast_rnn": jaxrnn.fast_rnn,
    "fast_grnn": jaxrnn.fast_grnn,
    "wmc_lstm": jaxrnn.wmc_lstm,
    "multiplicative_lstm": jaxrnn.multiplicative_lstm,
    "slstm": jaxrnn.slstm,
    "lem": jaxrnn.lem,
    "antisymmetric": jaxrnn.antisymmetric,
    "gated_antisymmetric": jaxrnn.gated_antisymmetric,
    "cornn": jaxrnn.cornn,
    "unicornn": jaxrnn.unicornn,
    "scrn": lambda size, **options: jaxrnn.scrn(size, 3, **options),
    "ctrnn": jaxrnn.ctrnn,
    "scornn": jaxrnn.scornn,
    "clockwork": lambda size, **options: jaxrnn.clockwork(size, (1, 2), **options),
    # One sequence of B pixels.
    "conv_lstm": lambda size, **options: jaxrnn.conv_lstm(size, (3,), **options),
    "conv_gru": lambda size, **options: jaxrnn.conv_gru(size, (3,), **options),
}
BIASES = "bias", "recurrent_bias"
KEY = jax.random.key(0)


@pytest.mark.slow_law
@pytest.mark.parametrize("implementation", ["scan", None])
@pytest.mark.parametrize("name", CELLS)
def test_equals_zero_biases(name, implementation):
    build = CELLS[name]
    xs = jax.random.normal(KEY, (T, B, I))
    params = build(H, use_bias=False).init(KEY, xs[0])
    assert all(getattr(params, field) is None for field in BIASES if field in params._fields)

    def run(cell, params):
        carry, ys = jaxrnn.unroll(cell, params, None, xs, implementation=implementation)
        return jnp.sum(ys**2) + sum(map(jnp.sum, floats(carry)))

    zeros = build(H, bias_init=jax.nn.initializers.zeros).init(KEY, xs[0])
    expected = jax.value_and_grad(lambda params: run(build(H), params))(zeros)
    value, grads = jax.value_and_grad(lambda params: run(build(H, use_bias=False), params))(params)
    np.testing.assert_allclose(value, expected[0], rtol=1e-6)
    for field, grad in grads._asdict().items():
        if grad is not None:
            np.testing.assert_allclose(grad, getattr(expected[1], field), rtol=1e-5, atol=1e-6)


def test_native_runs_it():
    for build in (jaxrnn.lstm, jaxrnn.gru, jaxrnn.elman):
        cell = build(H, use_bias=False)
        xs = jax.random.normal(KEY, (T, B, I))
        reason = jaxrnn.explain(cell, xs).reasons["native"]
        if "kernels" in reason:
            pytest.skip(reason)
        params = cell.init(KEY, xs[0])
        _, ys = jaxrnn.unroll(cell, params, None, xs, implementation="native")
        _, expected = jaxrnn.unroll(cell, params, None, xs, implementation="scan")
        np.testing.assert_allclose(ys, expected, atol=1e-6)


def test_dense_without_a_bias():
    layer = jaxrnn.dense(H, use_bias=False)
    xs = jax.random.normal(KEY, (T, B, I))
    params = layer.init(KEY, xs)
    assert params.bias is None
    _, ys = layer.apply(params, None, xs)
    np.testing.assert_allclose(ys, xs @ params.kernel, atol=1e-6)
