"""Layers that run in chunks compile their loop once, also where they are called eagerly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.compiled import compilations
from tests.laws.tables import B, H, I, T

LAYERS = {
    "remat": jaxrnn.remat(jaxrnn.rnn(jaxrnn.gru(H)), chunk=2),
    "truncate": jaxrnn.truncate(jaxrnn.rnn(jaxrnn.gru(H)), 2),
    "both": jaxrnn.truncate(jaxrnn.remat(jaxrnn.rnn(jaxrnn.gru(H))), 4),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_second_eager_call_compiles_nothing(name):
    layer = LAYERS[name]
    xs, mask = jnp.ones((T, B, I)), jnp.ones((T, B), bool)
    params = layer.init(jax.random.key(0), xs)
    _, expected = layer.apply(params, None, xs, mask=mask)
    with compilations() as compiled:
        _, ys = layer.apply(params, None, xs, mask=mask)
    assert compiled == []
    np.testing.assert_array_equal(ys, expected)


def test_a_layer_that_holds_an_array_sees_another_one():
    holder = {"scale": jnp.ones(H)}
    cell = jaxrnn.gru(H)._replace(output=lambda params, carry, u: carry.h * holder["scale"])
    layer = jaxrnn.remat(jaxrnn.rnn(cell), chunk=2)
    xs = jnp.ones((T, B, I))
    params = layer.init(jax.random.key(0), xs)
    _, before = layer.apply(params, None, xs)
    holder["scale"] = 2 * holder["scale"]
    np.testing.assert_allclose(layer.apply(params, None, xs)[1], 2 * before)
