"""A pool in a stack: the layers above it see no time axis, mask or resets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import B, H, I, T, assert_close

KEY = jax.random.key(0)
XS = jax.random.normal(KEY, (T, B, I), jnp.float64)
MASK = jaxrnn.length_mask(jnp.array([T, 0, 3]), T)
POOLS = [jaxrnn.pool_last, jaxrnn.pool_mean, jaxrnn.pool_max, jaxrnn.pool_sum]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("batched", [True, False])
def test_a_classifier_is_one_stack(pool, batched):
    xs, mask = (XS, MASK) if batched else (XS[:, 0], MASK[:, 0])
    encoder, head = jaxrnn.bidirectional(jaxrnn.lstm(H)), jaxrnn.dense(2)
    model = jaxrnn.stack(encoder, pool, jaxrnn.dropout(0.2), head)
    params = model.init(KEY, xs)
    _, logits = model.apply(params, None, xs, mask=mask)
    _, ys = encoder.apply(params[0], None, xs, mask=mask)
    want = head.apply(params[3], None, pool(ys, mask)[None])[1][0]
    assert logits.shape == ((B, 2) if batched else (2,))
    assert_close(logits, want, 1e-14)


def test_symbols_to_a_class():
    model = jaxrnn.stack(
        jaxrnn.embed(66, 8), jaxrnn.bidirectional(jaxrnn.lstm(H)), jaxrnn.pool_last, jaxrnn.dense(2)
    )
    symbols = jnp.zeros((T, B), jnp.int32)
    params = model.init(KEY, symbols)
    run = jax.jit(lambda params, mask: model.apply(params, None, symbols, mask=mask)[1])
    assert run(params, MASK).shape == (B, 2)
    assert np.isfinite(run(params, MASK)).all()


def test_an_attention_pool_has_parameters_in_the_stack():
    pool = jaxrnn.attention_pool(3)
    model = jaxrnn.stack(jaxrnn.rnn(jaxrnn.gru(H)), pool, jaxrnn.dense(2))
    params = model.init(KEY, XS)
    assert isinstance(params[1], jaxrnn.layers.AttentionPoolParams)
    grads = jax.grad(lambda p: model.apply(p, None, XS, mask=MASK)[1].sum())(params)
    assert np.abs(grads[1].query).max() > 0


def test_a_recurrent_layer_above_a_pool_makes_one_step():
    cell = jaxrnn.gru(H)
    model = jaxrnn.stack(jaxrnn.pool_mean, jaxrnn.rnn(cell))
    params = model.init(KEY, XS)
    carry, y = model.apply(params, None, XS, mask=MASK)
    want, _ = jaxrnn.step(cell, params[1], None, jaxrnn.pool_mean(XS, MASK))
    assert_close((carry[1], y), (want, want.h), 1e-13)


def test_flax_modules_run_a_classifier():
    linen = pytest.importorskip("jaxrnn.linen", reason="flax is not installed")
    model = jaxrnn.stack(jaxrnn.rnn(jaxrnn.gru(H)), jaxrnn.pool_mean, jaxrnn.dense(2))
    xs = XS.swapaxes(0, 1)
    logits, _ = linen.RNN(model).init_with_output(KEY, xs, seq_lengths=jnp.array([T, 0, 3]))
    assert logits.shape == (B, 2)


def test_a_summary_shows_layers_outputs_parameters_and_bytes():
    recurrent = jaxrnn.residual(jaxrnn.rnn(jaxrnn.lstm(8)))
    model = jaxrnn.stack(jaxrnn.embed(66, 8), recurrent, jaxrnn.pool_last, jaxrnn.dense(2))
    found = jaxrnn.summary(model, jax.ShapeDtypeStruct((T, B), jnp.int32))
    assert [row.layer for row in found.rows] == [
        "embed(66, 8)",
        "rnn(lstm(8))",
        "pool_last",
        "dense(2)",
    ]
    assert [row.parameters for row in found.rows] == [528, 4 * (64 + 64 + 8), 0, 18]
    assert found.rows[1].outputs == "float32(7, 3, 8)"
    assert found.total.parameters == sum(row.parameters for row in found.rows)
    assert found.total.bytes == 4 * found.total.parameters
    assert "embed(66, 8)" in str(found).splitlines()[2]
    assert str(found).splitlines()[-1].startswith("total")
    head, rule, *lines = str(found).splitlines()
    for line, row in zip(lines, found.rows, strict=False):
        assert line.startswith(row.layer)
        assert line.index(row.outputs) == head.index("outputs")
    assert {len(line) for line in (head, rule, *lines)} == {len(head)}
