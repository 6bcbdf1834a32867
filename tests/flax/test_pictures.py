"""Convolutional cells in the Flax modules: batch-major pictures (B, T, *S, C)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

nn = pytest.importorskip("flax.linen")
from flax import nnx  # noqa: E402

import jaxrnn  # noqa: E402
import jaxrnn.linen  # noqa: E402
import jaxrnn.nnx  # noqa: E402

B, T, S, C, F = 3, 4, 5, 2, 4
INPUTS = jax.random.normal(jax.random.key(0), (B, T, S, C), jnp.float32)
LENGTHS = jnp.array([4, 0, 2])
CELL = jaxrnn.conv_gru(F, (3,))
LAYER = jaxrnn.rnn(CELL)


def expected(params):
    mask = jaxrnn.length_mask(LENGTHS, T)
    return LAYER.apply(params, None, INPUTS.swapaxes(0, 1), mask=mask)[1].swapaxes(0, 1)


def test_linen():
    model = jaxrnn.linen.RNN(CELL)
    variables = model.init(jax.random.key(1), INPUTS)
    ys = model.apply(variables, INPUTS, seq_lengths=LENGTHS)
    params = jaxrnn.cells.ConvGRUParams(**variables["params"])
    np.testing.assert_allclose(ys, expected(params), atol=1e-6)
    of_layer = jaxrnn.linen.RNN(LAYER, num_feature_axes=2)
    assert jax.eval_shape(of_layer.apply, variables, INPUTS).shape == ys.shape
    with pytest.raises(ValueError, match=r"`num_feature_axes` of the RNN must be given.*conv_gru"):
        jaxrnn.linen.RNN(LAYER).apply(variables, INPUTS)


def test_nnx():
    model = jaxrnn.nnx.RNN(CELL, (S, C), rngs=nnx.Rngs(0))
    ys = model(INPUTS, seq_lengths=LENGTHS)
    params = jax.tree.map(
        lambda v: v[...], model.params, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable)
    )
    np.testing.assert_allclose(ys, expected(params), atol=1e-6)


def test_cells_in_the_rnn_of_flax():
    cell = jaxrnn.linen.RNNCell(CELL)
    assert cell.num_feature_axes == 2
    assert jaxrnn.linen.RNNCell(jaxrnn.lstm(F)).num_feature_axes == 1
    assert cell.copy().num_feature_axes == 2
    variables = nn.RNN(cell).init(jax.random.key(1), INPUTS)
    ys = nn.RNN(cell).apply(variables, INPUTS)
    params = jaxrnn.cells.ConvGRUParams(**variables["params"]["cell"])
    want = LAYER.apply(params, None, INPUTS.swapaxes(0, 1))[1].swapaxes(0, 1)
    np.testing.assert_allclose(ys, want, atol=1e-6)
