"""Layers that transform their weights: DropConnect and weight normalisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import B, H, I, T, assert_close, assert_same, total

pytestmark = pytest.mark.usefixtures("quick_compilation")

XS = jax.random.normal(jax.random.key(0), (T, B, I), jnp.float64)
KEY = jax.random.key(1)
LAYER = jaxrnn.stack(jaxrnn.rnn(jaxrnn.lstm(H)), jaxrnn.rnn(jaxrnn.gru(H)), jaxrnn.dense(2))


def test_drop_connect_drops_recurrent_weights_for_the_whole_call():
    size, rate = 60, 0.3
    layer = jaxrnn.drop_connect(jaxrnn.rnn(jaxrnn.elman(size)), rate)
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


def test_weight_norm_begins_as_the_layer_itself():
    normed = jaxrnn.weight_norm(LAYER)
    params = normed.init(KEY, XS)
    assert set(params.gains) == {
        "[0].kernel",
        "[0].recurrent_kernel",
        "[1].kernel",
        "[1].recurrent_kernel",
        "[2].kernel",
    }
    want = LAYER.apply(LAYER.init(KEY, XS), None, XS)
    assert_close(normed.apply(params, None, XS), want, 1e-13)


def test_weight_norm_takes_its_length_from_the_gain_and_its_direction_from_the_kernel():
    normed = jaxrnn.weight_norm(jaxrnn.dense(2))
    params = normed.init(KEY, XS)
    longer = params._replace(params=params.params._replace(kernel=3 * params.params.kernel))
    assert_close(normed.apply(longer, None, XS), normed.apply(params, None, XS), 1e-13)
    doubled = params._replace(gains={".kernel": 2 * params.gains[".kernel"]})
    _, ys = normed.apply(doubled, None, XS)
    assert_close(ys, 2 * normed.apply(params, None, XS)[1], 1e-13)
    # Salimans and Kingma, section 2.1: the gradient is orthogonal to the direction.
    grad = jax.grad(lambda p: total(normed.apply(p, None, XS)[1]))(params)
    dots = (grad.params.kernel * params.params.kernel).sum(axis=0)
    assert np.abs(dots).max() < 1e-12


def test_weight_norm_of_a_column_of_zeros_is_zero():
    normed = jaxrnn.weight_norm(jaxrnn.dense(2, kernel_init=jax.nn.initializers.zeros))
    params = normed.init(KEY, XS)
    loss = jax.value_and_grad(lambda p: total(normed.apply(p, None, XS)[1]))
    assert_same(loss(params)[0], 0.0)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(loss(params)[1]))
