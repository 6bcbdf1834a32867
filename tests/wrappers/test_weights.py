"""Cells that prepare their weights: DropConnect and weight normalization."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import B, H, I, T, assert_close, assert_same, total

XS = jax.random.normal(jax.random.key(0), (T, B, I), jnp.float64)
KEY = jax.random.key(1)


def test_drop_connect_drops_recurrent_weights_for_the_whole_call():
    size, rate = 60, 0.3
    layer = jaxrnn.rnn(jaxrnn.drop_connect(jaxrnn.elman(size), rate))
    xs = jax.random.normal(KEY, (1, B, I), jnp.float64)
    params = layer.init(KEY, xs)
    params = params._replace(kernel=jnp.zeros_like(params.kernel))
    # From the unit carries, the inverse of tanh of the output is the kernel that was used.
    carry = jaxrnn.HiddenCarry(jnp.eye(size))
    xs = jnp.zeros((1, size, I))
    used = jnp.arctanh(layer.apply(params, carry, xs, key=KEY)[1][0])
    kept = used != 0
    assert abs(float(kept.mean()) - (1 - rate)) < 0.03
    assert_close(used, jnp.where(kept, params.recurrent_kernel / (1 - rate), 0), 1e-9)
    assert_close(layer.apply(params, carry, xs)[1][0], jnp.tanh(params.recurrent_kernel), 1e-12)


def test_drop_connect_drops_the_fields_that_are_named_alike_in_chunks_and_inside_other_wrappers():
    cell = jaxrnn.drop_connect(jaxrnn.gru(H), 0.5, fields=("kernel", "recurrent_kernel"))
    layer = jaxrnn.rnn(jaxrnn.learned_carry(jaxrnn.zoneout(cell, 0.2)))
    params = layer.init(KEY, XS)
    whole = layer.apply(params, None, XS, key=KEY)
    assert_close(jaxrnn.remat(layer, chunk=3).apply(params, None, XS, key=KEY), whole, 1e-13)
    plain = jaxrnn.rnn(jaxrnn.learned_carry(jaxrnn.zoneout(jaxrnn.gru(H), 0.2)))
    assert np.abs(plain.apply(params, None, XS, key=KEY)[1] - whole[1]).max() > 1e-3


@pytest.mark.parametrize("cell", [jaxrnn.lstm(H), jaxrnn.projected_lstm(H, 2)], ids=repr)
def test_weight_norm_starts_as_the_cell_itself(cell):
    normed = jaxrnn.weight_norm(cell)
    params = normed.init(KEY, XS[0])
    gains = params.gains._asdict()
    assert {name for name, gain in gains.items() if gain is None} == {"bias"}
    want = jaxrnn.unroll(cell, cell.init(KEY, XS[0]), None, XS)
    assert_close(jaxrnn.unroll(normed, params, None, XS), want, 1e-13)


def test_weight_norm_of_some_fields_leaves_the_others_as_they_are():
    cell = jaxrnn.lstm(H)
    params = jaxrnn.weight_norm(cell, fields=("recurrent_kernel",)).init(KEY, XS[0])
    assert params.gains._replace(recurrent_kernel=None) == jaxrnn.cells.LSTMParams(None, None, None)
    lengths = jnp.linalg.norm(params.params.recurrent_kernel, axis=0)
    assert_close(params.gains.recurrent_kernel, lengths, 1e-13)


def test_weight_norm_takes_its_length_from_the_gain_and_its_direction_from_the_kernel():
    cell = jaxrnn.weight_norm(jaxrnn.elman(H, lambda x: x, bias_init=jax.nn.initializers.zeros))

    def run(params):
        return jaxrnn.unroll(cell, params, None, XS[:1])[1]

    params = cell.init(KEY, XS[0])
    longer = params._replace(params=params.params._replace(kernel=3 * params.params.kernel))
    assert_close(run(longer), run(params), 1e-13)
    doubled = params._replace(gains=params.gains._replace(kernel=2 * params.gains.kernel))
    assert_close(run(doubled), 2 * run(params), 1e-13)
    # Salimans and Kingma, section 2.1: the gradient is orthogonal to the direction.
    grad = jax.grad(lambda params: total(run(params)))(params)
    dots = (grad.params.kernel * params.params.kernel).sum(axis=0)
    assert np.abs(dots).max() < 1e-12


def test_weight_norm_of_a_column_of_zeros_is_zero():
    cell = jaxrnn.weight_norm(jaxrnn.elman(2, kernel_init=jax.nn.initializers.zeros))
    params = cell.init(KEY, XS[0])
    loss = jax.value_and_grad(lambda params: total(jaxrnn.unroll(cell, params, None, XS)[1]))
    assert_same(loss(params)[0], 0.0)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(loss(params)[1]))
